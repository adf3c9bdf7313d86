-- a row: a table of the audit trail, and whether each trigger that guards it against change is in force
WITH guards (table_name, trigger_name) AS (
    VALUES
    ('check_results', 'append_only'),
    ('item_attempts', 'kept'),
    ('item_attempts', 'ends_once'),
    ('journal', 'append_only')
)

SELECT
    guards.table_name,
    bool_and(coalesce(triggers.tgenabled IN ('O', 'A'), false)) AS guarded
FROM guards
LEFT JOIN pg_trigger AS triggers
    ON
        triggers.tgrelid = to_regclass('maintenance.' || guards.table_name)
        AND guards.trigger_name = triggers.tgname
GROUP BY guards.table_name
ORDER BY guards.table_name;

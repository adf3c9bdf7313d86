-- One row: how a table stands now, to be held against how it stood before; none when it is gone. Its TOAST table
-- counts: one that is locked is left out of its table's VACUUM.
SELECT
    coalesce(stats.n_dead_tup, 0)::float8 AS dead,
    CASE
        WHEN toast_stats.relid IS NULL THEN stats.last_vacuum
        WHEN stats.last_vacuum IS NOT NULL AND toast_stats.last_vacuum IS NOT NULL
            THEN least(stats.last_vacuum, toast_stats.last_vacuum)
    END AS vacuumed_at,
    stats.last_analyze AS analyzed_at,
    CASE
        WHEN tables.relkind = 'p' THEN 0
        ELSE greatest(
            age(tables.relfrozenxid) / current_setting('autovacuum_freeze_max_age')::float8,
            mxid_age(tables.relminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::float8,
            age(toasts.relfrozenxid) / current_setting('autovacuum_freeze_max_age')::float8,
            mxid_age(toasts.relminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::float8
        ) * 100
    END AS age_percent,
    clock_timestamp() AS now
FROM pg_class AS tables
LEFT JOIN pg_stat_all_tables AS stats ON tables.oid = stats.relid
LEFT JOIN pg_class AS toasts ON tables.reltoastrelid = toasts.oid
LEFT JOIN pg_stat_all_tables AS toast_stats ON toasts.oid = toast_stats.relid
WHERE tables.oid = %(oid)s::oid

-- A row is what would do more than remove a row of the relation %(oid)s: a foreign key, a trigger, a rule.
SELECT
    CASE con.confdeltype
        WHEN 'c' THEN 'cascade'
        WHEN 'n' THEN 'set null'
        WHEN 'd' THEN 'set default'
        ELSE 'no action'
    END AS kind,
    con.conname::text AS name,
    con.conrelid::regclass::text AS on_table
FROM pg_constraint AS con
WHERE
    con.contype = 'f'
    AND con.conparentid = 0
    AND con.confrelid IN (
        SELECT %(oid)s::oid
        UNION ALL
        SELECT tree.relid FROM pg_partition_tree(%(oid)s::oid) AS tree
    )
UNION
SELECT
    'trigger' AS kind,
    trig.tgname::text AS name,
    trig.tgrelid::regclass::text AS on_table
FROM pg_trigger AS trig
WHERE
    NOT trig.tgisinternal
    AND trig.tgenabled <> 'D'
    -- a conversion of ours, which follows whatever happens to a row
    AND trig.tgname NOT IN ('tdev_note_changes', 'tdev_note_exchange')
    AND trig.tgtype & 8 = 8
    AND trig.tgrelid IN (
        SELECT %(oid)s::oid
        UNION ALL
        SELECT tree.relid FROM pg_partition_tree(%(oid)s::oid) AS tree
    )
UNION
SELECT
    'rule' AS kind,
    rewrite.rulename::text AS name,
    rewrite.ev_class::regclass::text AS on_table
FROM pg_rewrite AS rewrite
WHERE
    rewrite.ev_type = '4'
    AND rewrite.ev_class IN (
        SELECT %(oid)s::oid
        UNION ALL
        SELECT tree.relid FROM pg_partition_tree(%(oid)s::oid) AS tree
    )
ORDER BY kind, name

-- A row is a session that holds a lock on the relation %(oid)s or its partitions for a while, the longest first.
SELECT
    act.pid,
    coalesce(act.application_name, '') AS application,
    coalesce(act.state, '') AS state,
    coalesce(extract(EPOCH FROM clock_timestamp() - act.xact_start), 0)::float8 AS seconds
FROM pg_stat_activity AS act
WHERE
    act.pid <> pg_backend_pid()
    AND act.pid IN (
        SELECT held.pid
        FROM pg_locks AS held
        WHERE
            held.granted
            AND held.relation IN (
                SELECT %(oid)s::oid
                UNION ALL
                SELECT tree.relid FROM pg_partition_tree(%(oid)s::oid) AS tree
            )
    )
ORDER BY seconds DESC
LIMIT 5

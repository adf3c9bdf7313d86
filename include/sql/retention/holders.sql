-- A row is a session or a prepared transaction that holds a lock on the relation %(oid)s or its partitions for a while,
-- the longest first; autovacuum gives way to whoever waits.
SELECT
    coalesce(
        'the prepared transaction ' || quote_literal(prepared.gid) || ' of ' || prepared.owner,
        concat('pid ', act.pid, ' (', coalesce(nullif(act.application_name, ''), 'unnamed'), ', ', act.state, ')')
    ) AS holder,
    coalesce(
        extract(EPOCH FROM clock_timestamp() - coalesce(prepared.prepared, act.xact_start)), 0
    )::float8 AS seconds,
    coalesce(act.backend_type = 'autovacuum worker', FALSE) AS gives_way
FROM (
    SELECT DISTINCT
        held.pid,
        held.virtualtransaction
    FROM pg_locks AS held
    WHERE
        held.granted
        AND held.relation IN (
            SELECT %(oid)s::oid
            UNION ALL
            SELECT tree.relid FROM pg_partition_tree(%(oid)s::oid) AS tree
        )
        AND held.database = (
            SELECT oid FROM pg_database
            WHERE datname = current_database()
        )
) AS locks
LEFT OUTER JOIN pg_stat_activity AS act ON locks.pid = act.pid
LEFT OUTER JOIN pg_locks AS own  -- what is prepared has no process, but a lock on its own number
    ON
        locks.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
        AND locks.virtualtransaction = own.virtualtransaction
LEFT OUTER JOIN pg_prepared_xacts AS prepared ON own.transactionid = prepared.transaction
WHERE
    locks.pid IS DISTINCT FROM pg_backend_pid()
    AND coalesce(act.pid::text, prepared.gid) IS NOT NULL
ORDER BY seconds DESC
LIMIT 5

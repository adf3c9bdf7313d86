-- A row is a session or a prepared transaction that keeps VACUUM and ANALYZE from a table (or waits for a lock that
-- does), the oldest first; with %(of_any_kind)s all who have a lock on it, for whom a DROP INDEX CONCURRENTLY waits.
SELECT
    coalesce(
        'the prepared transaction ' || quote_literal(prepared.gid) || ' of ' || prepared.owner,
        concat_ws(
            ' ', 'pid', locks.pid, 'of', coalesce(sessions.usename, sessions.backend_type),
            nullif('(' || sessions.application_name || ')', '()')
        )
    ) AS holder,
    extract(EPOCH FROM clock_timestamp() - coalesce(prepared.prepared, sessions.xact_start))::float8 AS open_seconds
FROM pg_locks AS locks
LEFT OUTER JOIN pg_stat_activity AS sessions ON locks.pid = sessions.pid
LEFT OUTER JOIN pg_locks AS own  -- what is prepared has no process, but a lock on its own number
    ON
        locks.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
        AND locks.virtualtransaction = own.virtualtransaction
LEFT OUTER JOIN pg_prepared_xacts AS prepared ON own.transactionid = prepared.transaction
WHERE
    locks.relation = %(oid)s::oid
    AND locks.locktype = 'relation'
    AND locks.database = (
        SELECT oid FROM pg_database
        WHERE datname = current_database()
    )
    AND (%(of_any_kind)s OR locks.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))
    AND locks.pid IS DISTINCT FROM pg_backend_pid()
    AND coalesce(sessions.pid::text, prepared.gid) IS NOT NULL
ORDER BY coalesce(prepared.prepared, sessions.xact_start)
LIMIT 5

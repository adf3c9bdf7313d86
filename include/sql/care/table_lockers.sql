-- A row is a session that keeps VACUUM and ANALYZE from a table (or waits for a lock that does), the oldest first.
SELECT
    concat_ws(
        ' ', 'pid', locks.pid, 'of', coalesce(sessions.usename, sessions.backend_type),
        nullif('(' || sessions.application_name || ')', '()')
    ) AS holder,
    extract(EPOCH FROM clock_timestamp() - sessions.xact_start)::float8 AS open_seconds
FROM pg_locks AS locks
INNER JOIN pg_stat_activity AS sessions ON locks.pid = sessions.pid
WHERE
    locks.relation = %(oid)s::oid
    AND locks.locktype = 'relation'
    AND locks.database = (
        SELECT oid FROM pg_database
        WHERE datname = current_database()
    )
    AND locks.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
    AND locks.pid <> pg_backend_pid()
ORDER BY sessions.xact_start
LIMIT 5

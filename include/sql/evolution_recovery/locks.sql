-- A row is one lock on the evolution's tables, or an advisory lock, that a session of this database holds or waits for,
-- and by whom; plain reading is left out. Those that wait come first, the longest at the head.
SELECT
    coalesce(locks.pid, 0) AS pid,
    CASE
        WHEN locks.pid IS NULL THEN 'a prepared transaction'
        ELSE coalesce(sessions.usename, sessions.backend_type, '')
    END AS role,
    coalesce(sessions.application_name, '') AS application,
    coalesce(host(sessions.client_addr), '') AS client_address,
    coalesce(sessions.state, '') AS state,
    sessions.backend_start,
    extract(EPOCH FROM clock_timestamp() - sessions.state_change)::float8 AS state_seconds,
    extract(EPOCH FROM clock_timestamp() - sessions.xact_start)::float8 AS transaction_seconds,
    CASE
        WHEN locks.locktype <> 'advisory' THEN coalesce(locks.relation::regclass::text, locks.locktype)
        WHEN locks.objsubid = 1 THEN concat('advisory lock ', (locks.classid::bigint << 32) | locks.objid::bigint)
        ELSE concat('advisory lock ', locks.classid, ', ', locks.objid)
    END AS target,
    locks.mode,
    locks.granted,
    extract(EPOCH FROM clock_timestamp() - locks.waitstart)::float8 AS waited_seconds,
    CASE WHEN locks.granted THEN '{}'::int[] ELSE pg_blocking_pids(locks.pid) END AS blocked_by
FROM pg_locks AS locks
LEFT JOIN pg_stat_activity AS sessions ON locks.pid = sessions.pid
WHERE
    locks.database = (
        SELECT oid FROM pg_database
        WHERE datname = current_database()
    )
    AND locks.pid IS DISTINCT FROM pg_backend_pid()
    AND (
        locks.locktype = 'advisory'
        OR locks.relation = any(
            SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS named (name)
        )
    )
    AND (NOT locks.granted OR locks.mode <> 'AccessShareLock')
ORDER BY locks.granted ASC, locks.waitstart ASC, locks.pid ASC
LIMIT 200

-- A row is a session of the evolution's engine in this database, with what it locks; reading locks nothing here.
SELECT
    sessions.pid,
    sessions.backend_start,
    sessions.state_change,
    coalesce(sessions.state, '') AS state,
    coalesce(host(sessions.client_addr), '') AS client_address,
    coalesce(sessions.client_port, -1) AS client_port,
    current_setting('port')::integer AS server_port,
    (
        SELECT count(*) FROM pg_locks AS locks
        WHERE
            locks.pid = sessions.pid
            AND locks.locktype IN ('advisory', 'relation')
            AND (NOT locks.granted OR locks.mode <> 'AccessShareLock')
    ) AS locks,
    clock_timestamp() AS now
FROM pg_stat_activity AS sessions
WHERE
    sessions.datname = current_database()
    AND sessions.usename = %(role)s
    AND sessions.application_name = %(application)s
    AND sessions.backend_type = 'client backend'
    AND sessions.pid <> pg_backend_pid()
ORDER BY sessions.backend_start
LIMIT 200

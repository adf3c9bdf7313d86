-- A row is a session, or a prepared transaction (pid 0), for which a session of the evolution's engine waits.
SELECT DISTINCT
    waiting.pid AS engine_pid,
    ahead.pid,
    CASE
        WHEN ahead.pid = 0 THEN 'a prepared transaction'
        ELSE coalesce(holder.usename, holder.backend_type, '')
    END AS role,
    coalesce(holder.application_name, '') AS application,
    coalesce(host(holder.client_addr), '') AS client_address,
    coalesce(holder.state, '') AS state,
    extract(EPOCH FROM clock_timestamp() - holder.backend_start)::float8 AS session_seconds,
    extract(EPOCH FROM clock_timestamp() - holder.state_change)::float8 AS state_seconds
FROM pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS ahead (pid)
LEFT JOIN pg_stat_activity AS holder ON ahead.pid = holder.pid
WHERE
    waiting.datname = current_database()
    AND waiting.usename = %(role)s
    AND waiting.application_name = %(application)s
    AND waiting.wait_event_type = 'Lock'
ORDER BY waiting.pid, ahead.pid
LIMIT 50

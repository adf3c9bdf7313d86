-- One row when the very session is still there and did nothing since it was looked at: whether it has ended now.
SELECT pg_terminate_backend(pid, %(timeout_ms)s) AS ended
FROM pg_stat_activity
WHERE
    pid = %(pid)s
    AND backend_start = %(backend_start)s
    AND state_change IS NOT DISTINCT FROM %(state_change)s
    AND datname = current_database()
    AND usename = %(role)s
    AND application_name = %(application)s

-- A row is a session of ours that was ended.
SELECT
    pid,
    pg_catalog.pg_terminate_backend(pid) AS ended
FROM pg_catalog.pg_stat_activity
WHERE pid = ANY(%(pids)s) AND usename = CURRENT_USER

-- A row is a session of somebody else that has waited %(seconds)s seconds for a lock that the session %(pid)s holds, or
-- for so long that the server will soon take both of them for a deadlock, and end his statement and not ours.
SELECT
    concat_ws(
        ' ', 'pid', locks.pid, 'of', coalesce(sessions.usename, sessions.backend_type),
        nullif('(' || sessions.application_name || ')', '()')
    ) AS waiter
FROM pg_locks AS locks
INNER JOIN pg_stat_activity AS sessions ON locks.pid = sessions.pid
WHERE
    NOT locks.granted
    AND locks.waitstart <= clock_timestamp() - least(
        make_interval(secs => %(seconds)s), current_setting('deadlock_timeout')::interval / 2
    )
    AND %(pid)s = any(pg_blocking_pids(locks.pid))
    AND sessions.application_name <> %(ours)s
ORDER BY locks.waitstart
LIMIT 1

-- A row is a session that has waited %(seconds)s seconds for a lock behind one of ours, or behind a session that does.
WITH RECURSIVE waiting AS MATERIALIZED (
    SELECT
        locks.pid,
        min(locks.waitstart) AS since,
        min(coalesce(locks.relation::regclass::text, locks.locktype) || ' ' || locks.mode) AS waits_for
    FROM pg_catalog.pg_locks AS locks
    WHERE NOT locks.granted
    GROUP BY locks.pid
),

blocked AS MATERIALIZED (
    SELECT waiting.*, pg_catalog.pg_blocking_pids(waiting.pid) AS blockers
    FROM waiting
),

ours AS (
    SELECT pid
    FROM pg_catalog.pg_stat_activity
    WHERE
        pid = %(holder)s
        OR (
            datname = current_database()
            AND usename = current_user
            AND application_name IN ('tdev-backup', 'pg_dump')
        )
),

behind AS (
    SELECT blocked.pid
    FROM blocked
    INNER JOIN ours ON ours.pid = any(blocked.blockers)
    UNION
    SELECT blocked.pid
    FROM blocked
    INNER JOIN behind ON behind.pid = any(blocked.blockers)
)

SELECT
    blocked.pid,
    activity.application_name AS application,
    blocked.waits_for,
    blocked.since
FROM blocked
INNER JOIN behind ON blocked.pid = behind.pid
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = blocked.pid
WHERE
    blocked.pid NOT IN (SELECT ours.pid FROM ours)
    AND blocked.since <= clock_timestamp() - make_interval(secs => %(seconds)s)
ORDER BY blocked.since, blocked.pid

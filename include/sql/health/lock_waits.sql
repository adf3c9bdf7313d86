-- A row is one of the 20 sessions that wait longest for a lock: since when, for which lock, the first in its way, and
-- how many wait. Advisory locks (one leads, the others wait) and virtual transaction ids (CREATE INDEX CONCURRENTLY
-- waits for older transactions) are waited for by design; such waits come last.
WITH waits AS (
    SELECT
        *,
        locktype IN ('advisory', 'virtualxid') AS by_design
    FROM pg_locks
    WHERE NOT granted
),

longest AS (  -- pg_blocking_pids stops all locking for a moment: it is asked about these only
    SELECT
        *,
        count(*) FILTER (WHERE NOT by_design) OVER () AS total,
        count(*) FILTER (WHERE by_design) OVER () AS total_by_design
    FROM waits
    ORDER BY by_design ASC, waitstart ASC
    LIMIT 20
)

SELECT
    longest.pid,
    longest.by_design,
    longest.total,
    longest.total_by_design,
    concat_ws(' ', sessions.usename, nullif(sessions.application_name, '')) AS who,
    coalesce(extract(EPOCH FROM clock_timestamp() - longest.waitstart), 0)::float8 AS waited_seconds,
    longest.mode,
    CASE
        WHEN longest.relation IS NULL THEN longest.locktype
        WHEN databases.datname <> current_database() THEN concat('a relation of the database ', databases.datname)
        ELSE longest.relation::regclass::text
    END AS target,
    ahead.blockers
FROM longest
INNER JOIN pg_stat_activity AS sessions ON longest.pid = sessions.pid
LEFT JOIN pg_database AS databases ON longest.database = databases.oid
CROSS JOIN
    LATERAL (
        SELECT
            concat(
                string_agg(
                    CASE
                        WHEN first.pid = 0 THEN 'a prepared transaction'
                        ELSE concat('pid ', first.pid, ' (', concat_ws(' ', first.usename, first.state), ')')
                    END, ', '
                ),
                ' and ' || nullif(greatest(max(first.total) - 3, 0), 0) || ' more'
            ) AS blockers
        FROM (
            SELECT
                blocking.pid,
                activity.usename,
                activity.state,
                count(*) OVER () AS total
            FROM unnest(pg_blocking_pids(longest.pid)) AS blocking (pid)
            LEFT JOIN pg_stat_activity AS activity ON blocking.pid = activity.pid
            ORDER BY activity.wait_event_type IS NOT DISTINCT FROM 'Lock', blocking.pid
            LIMIT 3
        ) AS first
    ) AS ahead
ORDER BY by_design ASC, waited_seconds DESC

-- A row is a session that waits for a lock: since when, for which lock, and the sessions in its way.
SELECT
    waiting.pid,
    concat_ws(' ', sessions.usename, nullif(sessions.application_name, '')) AS who,
    coalesce(extract(EPOCH FROM clock_timestamp() - waiting.waitstart), 0)::float8 AS waited_seconds,
    waiting.mode,
    coalesce(waiting.relation::regclass::text, waiting.locktype) AS target,
    (
        SELECT string_agg(concat_ws(' ', 'pid', blockers.pid, '(' || blockers.usename, blockers.state || ')'), ', ')
        FROM pg_stat_activity AS blockers
        WHERE pg_blocking_pids(waiting.pid) @> ARRAY[blockers.pid]
    ) AS blockers
FROM pg_locks AS waiting
INNER JOIN pg_stat_activity AS sessions ON waiting.pid = sessions.pid
WHERE NOT waiting.granted
ORDER BY waited_seconds DESC

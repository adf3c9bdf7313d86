-- a row: a check that is red now
SELECT
    id, item, check_name, severity, summary, hint, coalesce(report_id::text, '') AS report_id,
    opened_at, seen_at, ended_at, told, told_severity, told_at, suppressed
FROM maintenance.episodes
WHERE ended_at IS NULL
ORDER BY severity = 'CRITICAL' DESC, opened_at;

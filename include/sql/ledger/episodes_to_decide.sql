-- a row: the latest episode of a check that is open, ended lately (it may be flapping), or has re-openings untold
SELECT
    id, item, check_name, severity, summary, hint, report_id,
    opened_at, seen_at, ended_at, told, told_severity, told_at, suppressed
FROM (
    SELECT DISTINCT ON (item, check_name)
        id, item, check_name, severity, summary, hint, coalesce(report_id::text, '') AS report_id,
        opened_at, seen_at, ended_at, told, told_severity, told_at, suppressed
    FROM maintenance.episodes
    WHERE %(item)s::text IS NULL OR item = %(item)s
    ORDER BY item ASC, check_name ASC, ended_at IS NULL DESC, opened_at DESC, id DESC
) AS latest
WHERE ended_at IS NULL OR ended_at > %(ended_after)s OR suppressed > 0
ORDER BY item, check_name;

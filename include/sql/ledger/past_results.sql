-- a row: a result named %(name)s, or beginning with %(area)s, in the newest finished run of its item that has such
WITH named AS (
    SELECT
        attempt_id,
        position,
        item,
        check_name,
        ended_at,
        verdict,
        result ->> 'summary' AS summary
    FROM maintenance.check_results
    WHERE check_name = %(name)s OR (%(area)s <> '' AND starts_with(check_name, %(area)s))
),

newest AS (
    SELECT DISTINCT ON (item)
        item,
        attempt_id
    FROM named
    ORDER BY item, ended_at DESC, attempt_id DESC
)

SELECT
    named.check_name,
    named.item,
    named.ended_at,
    named.verdict,
    named.summary,
    coalesce(reports.id::text, '') AS report_id
FROM named
INNER JOIN newest ON named.attempt_id = newest.attempt_id
LEFT JOIN maintenance.reports ON named.attempt_id = reports.attempt_id
ORDER BY named.check_name, named.item, named.position;

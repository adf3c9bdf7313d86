-- a row: a report, newest first, with what its page's list shows of it
SELECT
    report.id::text AS report_id,
    report.created_at,
    run.tier,
    run.item,
    run.run_id,
    attempt.verdict,
    report.report ->> 'headline' AS headline,
    report.report ->> 'bad_since' AS bad_since
FROM maintenance.reports AS report
INNER JOIN maintenance.item_attempts AS attempt ON attempt.id = report.attempt_id
INNER JOIN maintenance.item_runs AS run ON run.id = attempt.item_run_id
WHERE
    (%(tier)s = '' OR run.tier = %(tier)s)
    AND (%(item)s = '' OR run.item = %(item)s)
ORDER BY report.created_at DESC, report.id
LIMIT %(limit)s;

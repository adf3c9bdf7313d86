-- a row: the latest execution of an item, in whichever run
SELECT DISTINCT ON (run.tier, run.item)
    run.tier, run.item, run.dag_id, run.run_id,
    attempt.started_at, attempt.ended_at, coalesce(attempt.verdict, '') AS verdict,
    coalesce(report.id::text, '') AS report_id
FROM maintenance.item_runs AS run
INNER JOIN maintenance.item_attempts AS attempt ON attempt.item_run_id = run.id
LEFT JOIN maintenance.reports AS report ON report.attempt_id = attempt.id
ORDER BY run.tier ASC, run.item ASC, attempt.started_at DESC, attempt.attempt DESC;

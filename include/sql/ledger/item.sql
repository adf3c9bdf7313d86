-- one row: the latest attempt of an item in a run, with what its checks found
SELECT
    run.tier,
    attempt.attempt,
    attempt.started_at,
    attempt.ended_at,
    attempt.verdict,
    attempt.out_of_scope,
    coalesce(report.id::text, '') AS report_id,
    (
        SELECT min(earlier.ended_at)
        FROM maintenance.item_attempts AS earlier
        WHERE earlier.item_run_id = run.id
    ) AS first_ended_at,
    (
        SELECT coalesce(jsonb_agg(found.result ORDER BY found.position), '[]')
        FROM maintenance.check_results AS found
        WHERE found.attempt_id = attempt.id
    ) AS results
FROM maintenance.item_runs AS run
INNER JOIN maintenance.item_attempts AS attempt ON attempt.item_run_id = run.id
LEFT JOIN maintenance.reports AS report ON report.attempt_id = attempt.id
WHERE run.dag_id = %(dag_id)s AND run.run_id = %(run_id)s AND run.item = %(item)s
ORDER BY attempt.started_at DESC, attempt.attempt DESC
LIMIT 1;

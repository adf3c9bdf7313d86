-- a row: an item whose latest attempt has no report, in this run or left out by an older one
SELECT latest.tier, latest.dag_id, latest.run_id, latest.item
FROM (
    SELECT DISTINCT ON (run.id)
        run.tier, run.dag_id, run.run_id, run.item, attempt.id AS attempt_id, attempt.ended_at
    FROM maintenance.item_runs AS run
    INNER JOIN maintenance.item_attempts AS attempt ON attempt.item_run_id = run.id
    WHERE
        (run.dag_id = %(dag_id)s AND run.run_id = %(run_id)s)
        OR attempt.started_at > %(now)s - interval '7 days'
    ORDER BY run.id ASC, attempt.started_at DESC, attempt.attempt DESC
) AS latest
LEFT JOIN maintenance.reports AS report ON report.attempt_id = latest.attempt_id
WHERE
    report.id IS NULL
    AND (
        (latest.dag_id = %(dag_id)s AND latest.run_id = %(run_id)s)
        OR latest.ended_at < %(now)s - interval '1 hour'
    )
ORDER BY latest.dag_id, latest.run_id, latest.item;

-- a row: the report that was written; none when the attempt that it describes is not in the ledger
INSERT INTO maintenance.reports (id, attempt_id, created_at, report, markdown, plain)
SELECT %(id)s::uuid, attempt.id, %(created_at)s, %(report)s, %(markdown)s, %(plain)s
FROM maintenance.item_attempts AS attempt
INNER JOIN maintenance.item_runs AS run ON run.id = attempt.item_run_id
WHERE
    run.dag_id = %(dag_id)s AND run.run_id = %(run_id)s AND run.item = %(item)s
    AND attempt.ended_at = %(ended_at)s
ORDER BY attempt.attempt DESC
LIMIT 1
ON CONFLICT (id) DO UPDATE
    SET
        report = excluded.report, markdown = excluded.markdown, plain = excluded.plain
RETURNING id;

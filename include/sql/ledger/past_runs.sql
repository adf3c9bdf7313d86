-- a row: an execution of an item that was begun since %(since)s
SELECT
    runs.item,
    attempts.started_at,
    attempts.ended_at
FROM maintenance.item_attempts AS attempts
INNER JOIN maintenance.item_runs AS runs ON attempts.item_run_id = runs.id
WHERE attempts.started_at >= %(since)s
ORDER BY attempts.started_at;

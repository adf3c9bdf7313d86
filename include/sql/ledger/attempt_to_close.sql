-- a row: the latest attempt without an end that was begun before the outcome was
SELECT id
FROM maintenance.item_attempts
WHERE item_run_id = %(item_run_id)s AND ended_at IS NULL AND started_at <= %(started_at)s
ORDER BY started_at DESC, attempt DESC
LIMIT 1;

-- one row: the new attempt; none when this start is recorded already
INSERT INTO maintenance.item_attempts (item_run_id, attempt, started_at)
SELECT %(item_run_id)s, coalesce(max(attempt), 0) + 1, %(started_at)s
FROM maintenance.item_attempts
WHERE item_run_id = %(item_run_id)s
HAVING NOT coalesce(bool_or(started_at = %(started_at)s), false)
RETURNING id;

-- a row: the attempt that already has this outcome
SELECT id
FROM maintenance.item_attempts
WHERE item_run_id = %(item_run_id)s AND outcome_digest = %(outcome_digest)s;

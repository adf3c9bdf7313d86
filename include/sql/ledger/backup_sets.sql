-- a row: a back-up set as it stood in the bucket when somebody last looked, newest first
SELECT system, set_id, sequence, state, recovery_point, facts, seen_at
FROM maintenance.backup_sets
ORDER BY system, sequence DESC, set_id DESC;

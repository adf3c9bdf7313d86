-- no rows: writes the end of an attempt
UPDATE maintenance.item_attempts
SET
    ended_at = %(ended_at)s,
    verdict = %(verdict)s,
    outcome_digest = %(outcome_digest)s,
    out_of_scope = %(out_of_scope)s
WHERE id = %(attempt_id)s;

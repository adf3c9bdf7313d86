-- no rows: a set as it stands in the bucket now
INSERT INTO maintenance.backup_sets (system, set_id, sequence, state, recovery_point, facts)
VALUES (%(system)s, %(set_id)s, %(sequence)s, %(state)s, %(recovery_point)s, %(facts)s)
ON CONFLICT (system, set_id) DO UPDATE
    SET
        state = excluded.state,
        recovery_point = excluded.recovery_point,
        facts = excluded.facts,
        seen_at = excluded.seen_at;

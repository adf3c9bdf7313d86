-- no rows: a scanner has looked at all of a target
INSERT INTO maintenance.finding_looks AS known (system, scanner, target, looked_at, basis, result)
VALUES (%(system)s, %(scanner)s, %(target)s, %(at)s, %(basis)s, %(result)s)
ON CONFLICT (system, scanner, target) DO UPDATE
    SET looked_at = excluded.looked_at, basis = excluded.basis, result = excluded.result
    WHERE known.looked_at <= excluded.looked_at;

-- one row: when a scanner last looked at all of a target, and what it said; none where that rests on something else
SELECT
    looked_at,
    result
FROM maintenance.finding_looks
WHERE
    system = %(system)s
    AND scanner = %(scanner)s
    AND target = %(target)s
    AND basis = %(basis)s
    AND looked_at >= %(since)s;

-- no rows: what a scanner said last of a target is void
DELETE FROM maintenance.finding_looks
WHERE system = %(system)s AND scanner = %(scanner)s AND target = %(target)s AND looked_at <= %(at)s;

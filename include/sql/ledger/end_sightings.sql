-- no rows: a scanner that looked at all of a target sees no more what it did not see at this moment
UPDATE maintenance.finding_sightings
SET gone_at = %(at)s
WHERE
    system = %(system)s
    AND scanner = %(scanner)s
    AND target = %(target)s
    AND gone_at IS NULL
    AND last_seen < %(at)s;

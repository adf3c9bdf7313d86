-- no rows: which scanners saw which findings at a moment
INSERT INTO maintenance.finding_sightings AS known (system, identity, scanner, target, last_seen)
SELECT
    %(system)s,
    found.identity,
    by.scanner,
    found.target,
    %(at)s
FROM jsonb_to_recordset(%(findings)s) AS found (identity text, target text, scanners jsonb)
CROSS JOIN LATERAL jsonb_array_elements_text(found.scanners) AS by (scanner)
ON CONFLICT (system, identity, scanner) DO UPDATE
    SET last_seen = excluded.last_seen, gone_at = NULL
    WHERE known.last_seen <= excluded.last_seen;

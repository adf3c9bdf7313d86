-- A row is a finding that a scanner sees in a target.
SELECT known.facts
FROM maintenance.finding_sightings AS sighting
INNER JOIN maintenance.findings AS known ON known.system = sighting.system AND known.identity = sighting.identity
WHERE
    sighting.system = %(system)s
    AND sighting.scanner = %(scanner)s
    AND sighting.target = %(target)s
    AND sighting.gone_at IS NULL;

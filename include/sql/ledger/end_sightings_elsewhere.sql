-- no rows: what scanners and targets saw that nobody scans with or scans any more, by the settings, is seen no more
UPDATE maintenance.finding_sightings AS sighting
SET gone_at = %(at)s
WHERE
    sighting.system = %(system)s
    AND sighting.gone_at IS NULL
    AND NOT EXISTS (
        SELECT 1
        FROM jsonb_to_recordset(%(scope)s) AS wanted (scanner text, target text)
        WHERE wanted.scanner = sighting.scanner AND coalesce(wanted.target, sighting.target) = sighting.target
    );

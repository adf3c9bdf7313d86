-- no rows: what nobody sees any more is fixed
UPDATE maintenance.findings AS known
SET fixed_at = %(at)s
WHERE
    known.system = %(system)s
    AND known.fixed_at IS NULL
    AND NOT EXISTS (
        SELECT 1
        FROM maintenance.finding_sightings AS sighting
        WHERE
            sighting.system = known.system
            AND sighting.identity = known.identity
            AND sighting.gone_at IS NULL
    );

-- a row: the evidence of a drill as it was sealed
SELECT
    (facts ->> 'number')::int AS number,
    facts ->> 'sha256' AS sha256
FROM maintenance.journal
WHERE event = 'drill_evidence'
ORDER BY id;

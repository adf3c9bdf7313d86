-- a row: an evidence as it was sealed, by the journal's event
SELECT
    (facts ->> 'number')::int AS number,
    facts ->> 'sha256' AS sha256
FROM maintenance.journal
WHERE event = %(event)s
ORDER BY id;

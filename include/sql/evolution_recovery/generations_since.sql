-- A row is a generation above a number, by number: when it was first recorded, by how many rows, and what time it is.
SELECT
    generation,
    min(timestamp) AS first_at,
    count(*) AS evaluations,
    clock_timestamp() AS now
FROM evolution_history
WHERE generation > %(floor)s
GROUP BY generation
ORDER BY generation
LIMIT 100

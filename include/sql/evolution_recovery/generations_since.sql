-- A row is a generation above `base` that has rows of after the restart, or any generation above `floor`, by number:
-- when it was first recorded since (up to `floor`: after `newest`, above it: since `earliest`), by how many rows, and
-- what time it is. One that bears no such time is told by the first that it bears.
WITH dated AS (
    SELECT
        generation,
        timestamp,
        timestamp <= clock_timestamp() + interval '1 minute'
        AND CASE
            WHEN generation > %(floor)s THEN timestamp >= %(earliest)s
            ELSE timestamp > %(newest)s
        END AS since
    FROM evolution_history
    WHERE generation > %(base)s
)

SELECT
    generation,
    coalesce(min(timestamp) FILTER (WHERE since), min(timestamp)) AS first_at,
    coalesce(nullif(count(*) FILTER (WHERE since), 0), count(*)) AS evaluations,
    clock_timestamp() AS now
FROM dated
WHERE generation > %(floor)s OR since
GROUP BY generation
ORDER BY generation
LIMIT 200

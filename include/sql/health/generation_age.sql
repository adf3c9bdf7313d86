-- One row: the highest generation that is not from the future, how long ago by the server's clock it was first
-- recorded (an engine that repeats itself goes on recording it), and how many rows are from the future.
SELECT
    latest.generation,
    extract(EPOCH FROM clock_timestamp() - latest.timestamp)::float8 AS age_seconds,
    (
        SELECT count(*) FROM evolution_history
        WHERE timestamp > now() + interval '1 minute'
    ) AS future_rows,
    row_security_active('evolution_history') AS rows_hidden
FROM (SELECT 1) AS always
LEFT JOIN LATERAL (
    SELECT
        generation,
        min(timestamp) AS timestamp
    FROM evolution_history
    WHERE timestamp <= now() + interval '1 minute'
    GROUP BY generation
    ORDER BY generation DESC
    LIMIT 1
) AS latest ON true

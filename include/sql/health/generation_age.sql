-- One row: the last generation that is not from the future, its age by the server's clock, and how many rows are.
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
        timestamp
    FROM evolution_history
    WHERE timestamp <= now() + interval '1 minute'
    ORDER BY timestamp DESC
    LIMIT 1
) AS latest ON true

-- One row: the highest generation that is not from the future, how long ago by the server's clock it was first
-- recorded, the highest of all, the newest time that is not from the future, how many agents there are and how many
-- were evaluated in the last 24 hours, and now.
SELECT
    latest.generation,
    extract(EPOCH FROM clock_timestamp() - latest.timestamp)::float8 AS age_seconds,
    (SELECT max(generation) FROM evolution_history) AS highest,
    (
        SELECT max(timestamp) FROM evolution_history
        WHERE timestamp <= now() + interval '1 minute'
    ) AS newest,
    (SELECT count(*) FROM agents) AS agents,
    (
        SELECT count(DISTINCT agent_id) FROM evolution_history
        WHERE timestamp > now() - interval '24 hours'
    ) AS active_agents,
    row_security_active('evolution_history') AS rows_hidden,
    clock_timestamp() AS now
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

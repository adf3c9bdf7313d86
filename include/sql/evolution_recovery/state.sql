-- One row: the highest generation of all, the newest time that is not from the future, how many agents there are and
-- how many were evaluated in the last 24 hours, and now.
SELECT
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
    clock_timestamp() AS now

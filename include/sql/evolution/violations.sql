-- A row is an agent whose history has unmet constraints in the 24 hours that end %(days_ago)s days ago: how often, and
-- which of the system's limits the agent is beyond as registered now.
SELECT
    coalesce(agents.name, history.agent_id::text) AS agent,
    coalesce(nullif(agents.size_kb, 'NaN') > %(max_size_kb)s::float8, false) AS too_large,
    coalesce(nullif(agents.instantiation_us, 'NaN') > %(max_instantiation_us)s::float8, false) AS too_slow,
    count(*) AS violations
FROM evolution_history AS history
LEFT JOIN agents ON history.agent_id = agents.id
WHERE
    history.timestamp > now() - (%(days_ago)s::float8 + 1) * interval '1 day'
    AND history.timestamp <= now() - %(days_ago)s::float8 * interval '1 day'
    AND history.constraints_met IS NOT true
GROUP BY history.agent_id, agents.name, agents.size_kb, agents.instantiation_us
ORDER BY violations DESC, agent ASC

-- A row is an agent with history in the last %(hours)s hours: how many rows, and how many with unmet constraints.
SELECT
    coalesce(agents.name, history.agent_id::text) AS agent,
    count(*) AS looked_at,
    count(*) FILTER (WHERE history.constraints_met IS NOT TRUE) AS violations,
    row_security_active('evolution_history') OR row_security_active('agents') AS rows_hidden
FROM evolution_history AS history
LEFT JOIN agents ON history.agent_id = agents.id
WHERE history.timestamp > now() - %(hours)s::float8 * interval '1 hour'
GROUP BY history.agent_id, agents.name
ORDER BY violations DESC, agent ASC

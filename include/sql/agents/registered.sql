-- A row is a registered agent with its size, the moment of its last change, the newest code that is known of it, and
-- the run that took our change back where that is the newest.
SELECT
    agents.id::text AS id,
    agents.name,
    agents.version::text AS version,
    nullif(agents.size_kb, 'NaN')::float8 AS size_kb,
    agents.updated_at::text AS updated_at,
    newest.code_hash,
    newest.taken_back_by,
    row_security_active('agents') AS rows_hidden
FROM agents
LEFT JOIN LATERAL (
    SELECT
        agent_versions.code_hash,
        agent_versions.performance_metrics ->> 'taken_back_by' AS taken_back_by
    FROM agent_versions
    WHERE agent_versions.agent_id = agents.id
    ORDER BY agent_versions.version_number DESC
    LIMIT 1
) AS newest ON true
ORDER BY agents.name, agents.version

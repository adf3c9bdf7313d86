-- A row is one agent as the registry has it now; none: it is gone.
SELECT
    agents.updated_at::text AS updated_at,
    newest.code_hash
FROM agents
LEFT JOIN LATERAL (
    SELECT agent_versions.code_hash
    FROM agent_versions
    WHERE agent_versions.agent_id = agents.id
    ORDER BY agent_versions.version_number DESC
    LIMIT 1
) AS newest ON true
WHERE agents.id = %(id)s::uuid

-- no rows: the size of an agent that nobody changed since it was looked at; its newest code must be the known one
UPDATE agents
SET
    size_kb = %(size_kb)s,
    updated_at = clock_timestamp()
WHERE
    id = %(id)s::uuid
    AND updated_at = %(seen)s::timestamptz
    AND (
        SELECT agent_versions.code_hash
        FROM agent_versions
        WHERE agent_versions.agent_id = agents.id
        ORDER BY agent_versions.version_number DESC
        LIMIT 1
    ) = %(old_hash)s

-- no rows: another version of an agent's code, as stable as the one before it
INSERT INTO agent_versions (agent_id, version_number, code_hash, changes, is_stable, performance_metrics)
SELECT
    %(id)s::uuid,
    coalesce(max(version_number), 0) + 1,
    %(code_hash)s,
    %(changes)s::text[],
    coalesce((array_agg(is_stable ORDER BY version_number DESC))[1], false),
    %(metrics)s::jsonb
FROM agent_versions
WHERE agent_id = %(id)s::uuid

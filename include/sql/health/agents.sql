-- A row is a registered agent with its size and speed as registered.
SELECT
    name,
    version::text AS version,
    size_kb::float8 AS size_kb,
    instantiation_us::float8 AS instantiation_us,
    row_security_active('agents') AS rows_hidden
FROM agents
ORDER BY name, version

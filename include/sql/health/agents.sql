-- A row is a registered agent with its size and speed as registered; NaN is no measurement.
SELECT
    name,
    version::text AS version,
    nullif(size_kb, 'NaN')::float8 AS size_kb,
    nullif(instantiation_us, 'NaN')::float8 AS instantiation_us,
    row_security_active('agents') AS rows_hidden
FROM agents
ORDER BY name, version

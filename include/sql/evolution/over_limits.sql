-- A row is a registered agent beyond one of the system's limits.
SELECT
    name AS agent,
    coalesce(nullif(size_kb, 'NaN') > %(max_size_kb)s::float8, false) AS too_large,
    coalesce(nullif(instantiation_us, 'NaN') > %(max_instantiation_us)s::float8, false) AS too_slow
FROM agents
WHERE
    (size_kb <> 'NaN' AND size_kb > %(max_size_kb)s::float8)
    OR (instantiation_us <> 'NaN' AND instantiation_us > %(max_instantiation_us)s::float8)
ORDER BY name

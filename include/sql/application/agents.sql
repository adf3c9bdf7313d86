-- One row: how many agents are registered, how many of them have a size, are above %(near_kb)s KB, beyond
-- %(max_size_kb)s KB or beyond %(max_instantiation_us)s us; the largest and the slowest figure.
SELECT
    count(*) AS registered,
    count(*) FILTER (WHERE size_kb <> 'NaN') AS sized,
    count(*) FILTER (WHERE size_kb <> 'NaN' AND size_kb > %(near_kb)s::float8) AS near,
    count(*) FILTER (WHERE size_kb <> 'NaN' AND size_kb > %(max_size_kb)s::float8) AS too_large,
    count(*) FILTER (
        WHERE instantiation_us <> 'NaN' AND instantiation_us > %(max_instantiation_us)s::float8
    ) AS too_slow,
    max(nullif(size_kb, 'NaN'))::float8 AS largest_kb,
    avg(nullif(size_kb, 'NaN'))::float8 AS mean_kb,
    max(nullif(instantiation_us, 'NaN'))::float8 AS slowest_us,
    row_security_active('agents') AS rows_hidden
FROM agents

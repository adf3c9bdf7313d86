-- A row is a generation that was recorded in the last %(days)s days: when first and last, how many hours ago by the
-- server's clock, and the fitness of its evaluations (NaN is no fitness). Rows from the future are left out.
SELECT
    generation,
    min(timestamp) AS first_at,
    max(timestamp) AS last_at,
    (extract(EPOCH FROM clock_timestamp() - min(timestamp)) / 3600)::float8 AS hours_ago,
    count(nullif(fitness_score, 'NaN')) AS evaluations,
    max(nullif(fitness_score, 'NaN'))::float8 AS best,
    avg(nullif(fitness_score, 'NaN'))::float8 AS mean,
    var_samp(nullif(fitness_score, 'NaN'))::float8 AS variance,
    row_security_active('evolution_history') AS rows_hidden
FROM evolution_history
WHERE
    timestamp > now() - %(days)s::float8 * interval '1 day'
    AND timestamp <= now() + interval '1 minute'
GROUP BY generation
ORDER BY generation

-- A row is a generation of the last %(hours)s hours with the mean fitness of its history.
SELECT
    generation,
    avg(fitness_score)::float8 AS mean_fitness,
    row_security_active('evolution_history') AS rows_hidden
FROM evolution_history
WHERE
    timestamp > now() - %(hours)s::float8 * interval '1 hour'
    AND timestamp <= now() + interval '1 minute'
    AND fitness_score <> 'NaN'
GROUP BY generation
ORDER BY generation

-- A row is a mutation with the evaluations that had it in the 7 days that end %(days_ago)s days ago: how many, and sum
-- and sum of squares of what their fitness is above their own generation's mean. Of the two rows without a name one is
-- of all evaluations, the other of those without any mutation.
WITH scored AS (
    SELECT
        array(SELECT DISTINCT unnest(mutations)) AS mutations,
        (fitness_score - avg(fitness_score) OVER (PARTITION BY generation))::float8 AS gain
    FROM evolution_history
    WHERE
        timestamp > now() - (%(days_ago)s::float8 + 7) * interval '1 day'
        AND timestamp <= now() - %(days_ago)s::float8 * interval '1 day'
        AND fitness_score <> 'NaN'
)

SELECT
    mutation,
    false AS is_whole,
    count(*) AS evaluations,
    sum(gain) AS gain,
    sum(gain * gain) AS squares
FROM scored
CROSS JOIN unnest(mutations) AS mutation
GROUP BY mutation
UNION ALL
SELECT
    null AS mutation,
    true AS is_whole,
    count(*) AS evaluations,
    coalesce(sum(gain), 0) AS gain,
    coalesce(sum(gain * gain), 0) AS squares
FROM scored
UNION ALL
SELECT
    null AS mutation,
    false AS is_whole,
    count(*) AS evaluations,
    coalesce(sum(gain), 0) AS gain,
    coalesce(sum(gain * gain), 0) AS squares
FROM scored
WHERE cardinality(mutations) = 0
ORDER BY mutation NULLS FIRST, is_whole DESC

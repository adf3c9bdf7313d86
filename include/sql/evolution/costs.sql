-- One row: the evaluations of the 24 hours that end %(days_ago)s days ago, how many of them say under %(cost_key)s what
-- they cost, and the sum of that.
SELECT
    count(*) AS evaluations,
    count(*) FILTER (WHERE jsonb_typeof(performance_metrics -> %(cost_key)s) = 'number') AS known,
    sum(
        CASE
            WHEN jsonb_typeof(performance_metrics -> %(cost_key)s) = 'number'
                THEN (performance_metrics ->> %(cost_key)s)::float8
        END
    ) AS cost,
    row_security_active('fitness_tracking') AS rows_hidden
FROM fitness_tracking
WHERE
    timestamp > now() - (%(days_ago)s::float8 + 1) * interval '1 day'
    AND timestamp <= now() - %(days_ago)s::float8 * interval '1 day'

-- One row: the highest generation that is not from the future, how long ago by the server's clock it was first
-- recorded (an engine that repeats itself goes on recording it), and how many rows are from the future. And of the last
-- %(window_seconds)s seconds: how often the number went back by two or more (by one it does when a row is late), to
-- which generation it last rose by one above all numbers since the first step back, and how long ago. An engine that
-- was resumed from a checkpoint makes numbers anew that were made before; a single stray row is no rise.
WITH newest AS MATERIALIZED (
    SELECT
        generation,
        timestamp,
        lag(generation) OVER (ORDER BY timestamp, generation) AS before
    FROM evolution_history
    WHERE
        timestamp > now() - make_interval(secs => %(window_seconds)s)
        AND timestamp <= now() + interval '1 minute'
),

back AS (
    SELECT
        count(*) AS steps,
        min(timestamp) AS at
    FROM newest
    WHERE generation < before - 1
),

since AS (
    SELECT
        newest.generation,
        newest.timestamp,
        max(newest.generation) OVER (
            ORDER BY newest.timestamp, newest.generation ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS highest
    FROM newest CROSS JOIN back
    WHERE back.at IS NULL OR newest.timestamp >= back.at
),

risen AS (
    SELECT
        generation,
        timestamp
    FROM since
    WHERE generation = highest + 1
    ORDER BY timestamp DESC
    LIMIT 1
)

SELECT
    latest.generation,
    extract(EPOCH FROM clock_timestamp() - latest.timestamp)::float8 AS age_seconds,
    (
        SELECT count(*) FROM evolution_history
        WHERE timestamp > now() + interval '1 minute'
    ) AS future_rows,
    row_security_active('evolution_history') AS rows_hidden,
    (SELECT steps FROM back) AS steps_back,
    risen.generation AS risen_to,
    extract(EPOCH FROM clock_timestamp() - risen.timestamp)::float8 AS risen_seconds_ago
FROM (SELECT 1) AS always
LEFT JOIN LATERAL (
    SELECT
        generation,
        min(timestamp) AS timestamp
    FROM evolution_history
    WHERE timestamp <= now() + interval '1 minute'
    GROUP BY generation
    ORDER BY generation DESC
    LIMIT 1
) AS latest ON TRUE
LEFT JOIN risen ON TRUE

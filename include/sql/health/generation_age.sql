-- One row: the highest generation that is not from the future, how long ago by the server's clock it was first
-- recorded (an engine that repeats itself goes on recording it), and how many rows are from the future. And of the last
-- %(window_seconds)s seconds: how often the number went back, to which generation the number last rose, and how long
-- ago. The rows after one step back count only among themselves: an engine that was resumed from a checkpoint makes
-- numbers anew that were made before.
WITH newest AS MATERIALIZED (
    SELECT
        generation,
        timestamp,
        lag(generation) OVER numbered AS before
    FROM evolution_history
    WHERE
        timestamp > now() - make_interval(secs => %(window_seconds)s)
        AND timestamp <= now() + interval '1 minute'
    WINDOW numbered AS (ORDER BY timestamp, generation)
),

back AS (
    SELECT
        count(*) AS steps,
        min(timestamp) AS at
    FROM newest
    WHERE generation < before
),

since AS (
    SELECT
        newest.generation,
        newest.timestamp,
        back.at,
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
    WHERE generation > highest OR (highest IS NULL AND at IS NOT NULL)
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

-- A row is a span of 24 hours that ends so many days ago: how many generations and evaluations were recorded in it, and
-- whether the history reaches back to its beginning.
WITH counted AS (
    SELECT
        floor(extract(EPOCH FROM now() - timestamp) / 86400)::int AS days_ago,
        count(DISTINCT generation) AS generations,
        count(*) AS evaluations
    FROM evolution_history
    WHERE
        timestamp > now() - (%(days)s::int + 1) * interval '1 day'
        AND timestamp <= now()
    GROUP BY floor(extract(EPOCH FROM now() - timestamp) / 86400)::int
)

SELECT
    spans.days_ago,
    coalesce(counted.generations, 0) AS generations,
    coalesce(counted.evaluations, 0) AS evaluations,
    coalesce(oldest.timestamp <= now() - (spans.days_ago + 1) * interval '1 day', false) AS is_whole,
    now() - spans.days_ago * interval '1 day' AS ended_at,
    row_security_active('evolution_history') AS rows_hidden
FROM generate_series(0, %(days)s::int) AS spans (days_ago)
LEFT JOIN counted ON spans.days_ago = counted.days_ago
LEFT JOIN (SELECT min(timestamp) AS timestamp FROM evolution_history) AS oldest ON true
ORDER BY spans.days_ago

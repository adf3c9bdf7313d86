-- A row is a span of 24 hours that ends so many days ago: how many generations and evaluations were recorded in it, and
-- whether the history reaches back to its beginning.
SELECT
    spans.days_ago,
    count(DISTINCT history.generation) AS generations,
    count(history.generation) AS evaluations,
    bool_or(oldest.timestamp <= now() - (spans.days_ago + 1) * interval '1 day') AS is_whole,
    now() - spans.days_ago * interval '1 day' AS ended_at,
    row_security_active('evolution_history') AS rows_hidden
FROM generate_series(0, %(days)s::int) AS spans (days_ago)
LEFT JOIN LATERAL (SELECT min(timestamp) AS timestamp FROM evolution_history) AS oldest ON true
LEFT JOIN evolution_history AS history
    ON
        history.timestamp > now() - (spans.days_ago + 1) * interval '1 day'
        AND history.timestamp <= now() - spans.days_ago * interval '1 day'
GROUP BY spans.days_ago
ORDER BY spans.days_ago

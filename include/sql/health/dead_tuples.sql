-- A row is one of the 20 worst tables (TOAST and catalogs too) with at least %(minimum)s dead rows: their share of all
-- its rows, and how many such tables there are.
SELECT
    stats.relid::regclass::text AS table_name,
    stats.n_dead_tup AS dead,
    100 * stats.n_dead_tup / nullif(stats.n_dead_tup + stats.n_live_tup, 0)::float8 AS dead_percent,
    count(*) OVER () AS total
FROM pg_stat_all_tables AS stats
WHERE stats.n_dead_tup >= greatest(%(minimum)s::bigint, 1)
ORDER BY dead_percent DESC
LIMIT 20

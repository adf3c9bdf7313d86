-- A row is a materialized view.
SELECT
    schemaname AS schema,
    matviewname AS name
FROM pg_catalog.pg_matviews
ORDER BY schemaname, matviewname
LIMIT 20

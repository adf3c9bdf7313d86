-- A row is an installed extension and its version.
SELECT
    extname AS name,
    extversion AS version
FROM pg_catalog.pg_extension
ORDER BY extname

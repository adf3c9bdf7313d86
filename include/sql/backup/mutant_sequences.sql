-- A row is a sequence that was used and can be set one step back, with the value that it would then have.
SELECT
    schemaname AS schema,
    sequencename AS name,
    last_value - increment_by AS behind
FROM pg_catalog.pg_sequences
WHERE last_value - increment_by BETWEEN min_value AND max_value
ORDER BY schemaname, sequencename
LIMIT 20

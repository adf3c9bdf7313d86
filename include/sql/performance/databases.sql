-- A row is a database of the server with its counters since they were last reset: temporary files, deadlocks.
SELECT
    datname AS name,
    temp_bytes::float8 AS temp_bytes,
    temp_files,
    deadlocks,
    stats_reset
FROM pg_stat_database
WHERE datname IS NOT NULL
ORDER BY datname

-- A row is a database of the server with its counters since they were last reset: temporary files, deadlocks.
SELECT
    databases.datname AS name,
    counters.temp_bytes::float8 AS temp_bytes,
    counters.temp_files,
    counters.deadlocks,
    counters.stats_reset
FROM pg_stat_database AS counters
INNER JOIN pg_database AS databases ON counters.datid = databases.oid
WHERE NOT databases.datistemplate
ORDER BY databases.datname

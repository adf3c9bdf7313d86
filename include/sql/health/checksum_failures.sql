-- A row is a database of the cluster (and one for what they share) with its count of blocks with a wrong checksum.
SELECT
    coalesce(datname::text, 'shared catalogs') AS database_name,
    current_setting('data_checksums')::bool AS enabled,
    coalesce(checksum_failures, 0) AS failures,
    to_char(checksum_last_failure AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') AS last_failure
FROM pg_stat_database
ORDER BY failures DESC, database_name ASC

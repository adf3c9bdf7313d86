-- One row: how many WAL files wait to be archived, and for how many minutes the oldest of them has.
SELECT
    count(*) AS waiting,
    coalesce(extract(EPOCH FROM clock_timestamp() - min(modification)), 0)::float8 / 60 AS minutes
FROM pg_ls_archive_statusdir()
WHERE name ~ '\.ready$'

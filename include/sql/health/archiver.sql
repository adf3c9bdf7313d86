-- One row: whether WAL archiving is configured, what it did, and whether its last try failed.
SELECT
    current_setting('archive_mode') AS mode,
    CASE
        WHEN current_setting('archive_library') <> '' THEN 'by archive_library'
        WHEN current_setting('archive_command') IN ('', '(disabled)') THEN 'no archive_command'
        ELSE 'by archive_command'
    END AS with_what,
    current_setting('archive_mode') <> 'off'
    AND (
        current_setting('archive_library') <> ''
        OR current_setting('archive_command') NOT IN ('', '(disabled)')
    ) AS configured,
    archived_count AS archived,
    failed_count AS failed,
    last_failed_wal,
    coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing,
    extract(EPOCH FROM clock_timestamp() - last_archived_time)::float8 / 60 AS archived_minutes
FROM pg_stat_archiver

-- One row: what speaks against a rebuild now. A dump that runs in this database; the oldest transaction that a rebuild
-- would wait for, in seconds, and whose it is; how far the furthest standby or slot is behind, in bytes.
WITH waited_for AS (
    SELECT
        extract(EPOCH FROM clock_timestamp() - xact_start)::float8 AS open_seconds,
        application_name,
        concat_ws(' ', 'pid', pid, 'of', coalesce(usename, backend_type), nullif('(' || application_name || ')', '()'))
            AS holder
    FROM pg_stat_activity
    WHERE
        datname = current_database()
        AND xact_start IS NOT NULL
        AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
        AND pid NOT IN (SELECT vacuums.pid FROM pg_stat_progress_vacuum AS vacuums)
        AND pid NOT IN (SELECT builders.pid FROM pg_stat_progress_create_index AS builders)
)

SELECT
    (
        SELECT min(holder) FROM waited_for
        WHERE application_name IN ('pg_dump', 'tdev-backup')
    ) AS dump,
    oldest.open_seconds,
    oldest.holder,
    (
        SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint FROM pg_stat_replication
        WHERE application_name <> 'pg_basebackup'
    ) AS lag_bytes
FROM (SELECT 1 AS one) AS always
LEFT JOIN LATERAL (
    SELECT * FROM waited_for
    ORDER BY open_seconds DESC
    LIMIT 1
) AS oldest ON TRUE

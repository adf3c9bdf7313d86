-- One row: what speaks against a rebuild now. A dump that runs in this database; the oldest transaction for which it
-- would wait (a session's or a prepared one), in seconds, and whose it is; the furthest standby or slot, and how much
-- WAL it still has to read, in bytes; whether our role sees other roles' sessions at all.
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
        AND backend_type = 'client backend'
        AND application_name <> %(ours)s
        AND pid NOT IN (SELECT vacuums.pid FROM pg_stat_progress_vacuum AS vacuums)
        AND pid NOT IN (SELECT builders.pid FROM pg_stat_progress_create_index AS builders)
    UNION ALL
    SELECT
        extract(EPOCH FROM clock_timestamp() - prepared)::float8,
        '',
        concat('the prepared transaction ', quote_literal(gid), ' of ', owner)
    FROM pg_prepared_xacts
    WHERE database = current_database()
),

readers AS (
    SELECT
        'the standby ' || coalesce(nullif(application_name, ''), host(client_addr), 'without a name') AS reader,
        replay_lsn AS lsn
    FROM pg_stat_replication
    WHERE application_name <> 'pg_basebackup'
    UNION ALL
    SELECT
        'the slot ' || slot_name || CASE WHEN active THEN '' ELSE ', which nobody reads,' END,
        restart_lsn
    FROM pg_replication_slots
),

furthest AS (
    SELECT
        reader,
        pg_wal_lsn_diff(pg_current_wal_lsn(), lsn)::bigint AS behind_bytes
    FROM readers
    WHERE lsn IS NOT NULL
    ORDER BY lsn
    LIMIT 1
),

oldest AS (
    SELECT
        open_seconds,
        holder
    FROM waited_for
    ORDER BY open_seconds DESC
    LIMIT 1
)

SELECT
    (
        SELECT min(waited_for.holder) FROM waited_for
        WHERE waited_for.application_name IN ('pg_dump', 'tdev-backup')
    ) AS dump,
    (SELECT open_seconds FROM oldest) AS open_seconds,
    (SELECT holder FROM oldest) AS holder,
    (SELECT reader FROM furthest) AS reader,
    (SELECT behind_bytes FROM furthest) AS behind_bytes,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions

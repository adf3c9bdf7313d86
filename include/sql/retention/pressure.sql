-- One row: bytes of log since %(since)s; how far the last replica or slot is behind, in bytes, and which one it is; how
-- many replicas there are of which our role may not see how far they are.
WITH readers AS (
    SELECT
        'the standby ' || coalesce(nullif(application_name, ''), host(client_addr), 'without a name') AS reader,
        replay_lsn AS lsn
    FROM pg_stat_replication
    WHERE state IN ('streaming', 'catchup')
    UNION ALL
    SELECT
        'the slot ' || slot_name || CASE WHEN active THEN '' ELSE ', which nobody reads,' END,
        restart_lsn
    FROM pg_replication_slots
    WHERE slot_type = 'physical'
),

last AS (
    SELECT
        reader,
        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), lsn)::bigint AS lag_bytes
    FROM readers
    WHERE lsn IS NOT NULL
    ORDER BY lsn
    LIMIT 1
)

SELECT
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %(since)s::pg_lsn)::bigint AS wal_bytes,
    greatest(coalesce((SELECT lag_bytes FROM last), 0), 0) AS lag_bytes,
    (SELECT reader FROM last) AS reader,
    (
        SELECT count(*) FROM pg_stat_replication
        WHERE state IS NULL
    ) AS unseen

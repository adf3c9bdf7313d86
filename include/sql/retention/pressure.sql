-- one row: bytes of log since %(since)s, and how far the last replica or slot is behind in bytes
SELECT
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %(since)s::pg_lsn)::bigint AS wal_bytes,
    greatest(coalesce((
        SELECT max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), rep.replay_lsn))
        FROM pg_stat_replication AS rep
        WHERE rep.state IN ('streaming', 'catchup')
    ), 0), coalesce((
        SELECT max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), slot.restart_lsn))
        FROM pg_replication_slots AS slot
        WHERE slot.slot_type = 'physical'
    ), 0))::bigint AS lag_bytes

-- one row: bytes of log since %(since)s, and how far the last replica is behind in bytes
SELECT
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %(since)s::pg_lsn)::bigint AS wal_bytes,
    coalesce((
        SELECT max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), rep.replay_lsn))
        FROM pg_stat_replication AS rep
        WHERE rep.state = 'streaming'
    ), 0)::bigint AS lag_bytes

-- one row: bytes of log since %(since)s, how far the last replica is behind in bytes, and whom we block now
SELECT
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %(since)s::pg_lsn)::bigint AS wal_bytes,
    coalesce((
        SELECT max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), rep.replay_lsn))
        FROM pg_stat_replication AS rep
        WHERE rep.state = 'streaming'
    ), 0)::bigint AS lag_bytes,
    (
        SELECT count(*)
        FROM pg_stat_activity AS act
        WHERE
            CASE
                WHEN act.wait_event_type = 'Lock'
                    THEN pg_backend_pid() = any(pg_blocking_pids(act.pid))
                ELSE false
            END
    )::int AS waiters

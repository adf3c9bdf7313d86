-- One row, on a standby: whether it receives WAL, and how far its replay is behind what it has received.
SELECT
    (
        SELECT count(*) FROM pg_stat_wal_receiver
        WHERE status = 'streaming'
    ) > 0 AS receiving,
    CASE
        WHEN pg_last_wal_replay_lsn() = pg_last_wal_receive_lsn() THEN 0
        ELSE coalesce(extract(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
    END::float8 AS lag_seconds,
    coalesce(greatest(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0), 0)::float8
    / 1048576 AS lag_mb

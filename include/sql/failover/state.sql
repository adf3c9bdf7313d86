-- one row: what this server is, how far it wrote or replayed, and whether it follows another
WITH receivers AS (
    SELECT count(*) AS streaming
    FROM pg_stat_wal_receiver
    WHERE status = 'streaming'
),

recovery AS (
    SELECT pg_is_in_recovery() AS in_recovery
)

SELECT
    control.system_identifier::text AS system_identifier,
    recovery.in_recovery,
    CASE WHEN recovery.in_recovery THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text AS lsn,
    pg_last_wal_receive_lsn()::text AS received,
    receivers.streaming > 0 AS streaming,
    CASE
        WHEN recovery.in_recovery THEN checkpoint.timeline_id
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
    END AS timeline,
    current_setting('server_version_num')::int AS server_version_num,
    pg_last_xact_replay_timestamp() AS last_replayed_at,
    clock_timestamp() AS now
FROM recovery, receivers, pg_control_system() AS control, pg_control_checkpoint() AS checkpoint;

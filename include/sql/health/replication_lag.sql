-- A row is a standby that streams from this server, with what it has not replayed yet.
SELECT
    coalesce(nullif(senders.application_name, ''), host(senders.client_addr), senders.pid::text) AS standby,
    coalesce(extract(EPOCH FROM senders.replay_lag), 0)::float8 AS lag_seconds,
    greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), senders.replay_lsn), 0)::float8 / 1048576 AS lag_mb
FROM pg_stat_replication AS senders
LEFT JOIN pg_replication_slots AS slots ON senders.pid = slots.active_pid
WHERE
    senders.state IN ('catchup', 'streaming')
    AND senders.replay_lsn IS NOT NULL  -- what only receives (pg_receivewal, a base backup) replays nothing
    AND slots.slot_type IS DISTINCT FROM 'logical'  -- a subscriber cannot take over
ORDER BY lag_mb DESC

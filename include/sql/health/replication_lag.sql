-- A row is a standby that streams from this server, with what it has not replayed yet.
SELECT
    coalesce(nullif(application_name, ''), host(client_addr), pid::text) AS standby,
    coalesce(extract(EPOCH FROM replay_lag), 0)::float8 AS lag_seconds,
    greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::float8 / 1048576 AS lag_mb
FROM pg_stat_replication
WHERE
    state IN ('catchup', 'streaming')
    AND replay_lsn IS NOT NULL  -- what only receives (pg_receivewal, a base backup) replays nothing
ORDER BY lag_mb DESC

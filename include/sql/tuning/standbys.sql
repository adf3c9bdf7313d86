-- A row is a standby that streams from this server, by its own name or address.
SELECT coalesce(nullif(senders.application_name, ''), host(senders.client_addr), senders.pid::text) AS standby
FROM pg_stat_replication AS senders
LEFT JOIN pg_replication_slots AS slots ON senders.pid = slots.active_pid
WHERE
    senders.state IN ('catchup', 'streaming')
    AND senders.replay_lsn IS NOT NULL  -- what only receives replays nothing and has no such limit
    AND slots.slot_type IS DISTINCT FROM 'logical'
ORDER BY standby

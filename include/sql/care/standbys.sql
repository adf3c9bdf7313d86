-- One row: how many standbys follow this server; who only decodes its WAL (a subscriber) uses none of its indexes.
SELECT count(*) AS standbys
FROM pg_stat_replication AS senders
WHERE NOT EXISTS (
    SELECT FROM pg_replication_slots AS slots
    WHERE slots.active_pid = senders.pid AND slots.slot_type = 'logical'
)
AND senders.application_name NOT IN ('pg_basebackup', 'pg_receivewal')

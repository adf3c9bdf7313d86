-- a row: a logical replication slot; a failover slot that is synchronised stands on the standby as well
SELECT
    slot_name AS name,
    plugin,
    database
FROM pg_replication_slots
WHERE slot_type = 'logical'
ORDER BY slot_name;

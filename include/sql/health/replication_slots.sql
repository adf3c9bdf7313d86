-- A row is a replication slot: whether it is read, since when not (from 17 on), what it keeps, and why it is lost.
SELECT
    slots.slot_name,
    -- A synchronised copy on a standby is looked after by its primary.
    slots.active OR coalesce((as_json ->> 'synced')::bool, false) AS active,
    slots.wal_status,
    coalesce(as_json ->> 'invalidation_reason', CASE WHEN (as_json ->> 'conflicting')::bool THEN 'conflict' END)
        AS invalid_because,
    extract(EPOCH FROM clock_timestamp() - (as_json ->> 'inactive_since')::timestamptz)::float8 / 60
        AS inactive_minutes,
    coalesce(
        pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
            slots.restart_lsn
        ), 0
    )::float8 / 1048576 AS retained_mb
FROM pg_replication_slots AS slots
CROSS JOIN LATERAL to_jsonb(slots) AS as_json  -- columns that only newer servers have are read by name
ORDER BY slots.slot_name

-- one row: where a message stands that was written to the log in a transaction of its own; no table is touched
SELECT pg_logical_emit_message(true, 'tdev-failover', %(recovery_id)s)::text AS lsn;

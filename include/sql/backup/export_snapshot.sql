-- One row: the name of the exported snapshot, the database's clock just before it, and the end of the log just after.
SELECT
    pg_catalog.pg_export_snapshot() AS id,
    statement_timestamp() AS at,
    pg_catalog.pg_current_wal_lsn()::text AS lsn

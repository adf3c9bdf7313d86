-- one row: the database's clock in UTC, the oldest transaction that is not over, and where its log stands
SELECT
    clock_timestamp() AS now,
    pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
    pg_current_wal_insert_lsn()::text AS wal

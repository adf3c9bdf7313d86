-- One row: connections now and how many ordinary roles may have, and the position in the WAL, in bytes.
SELECT
    count(*) FILTER (WHERE backend_type = 'client backend') AS connections,
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int AS connections_usable,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal_bytes,
    current_setting('log_lock_waits')::bool AS logs_lock_waits
FROM pg_stat_activity

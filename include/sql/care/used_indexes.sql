-- One row: which of these indexes (by oid, as on a standby) this server has used, for how long it has counted, and
-- whether it is a standby; and which database that is.
SELECT
    coalesce(
        array_agg(stats.indexrelid::bigint) FILTER (WHERE stats.idx_scan > 0), '{}'
    ) AS used,
    extract(EPOCH FROM clock_timestamp() - greatest(
        (
            SELECT databases.stats_reset FROM pg_stat_database AS databases
            WHERE databases.datname = current_database()
        ),
        least((SELECT stats_reset FROM pg_stat_bgwriter), (SELECT stats_reset FROM pg_stat_wal))
    ))::float8 / 86400 AS counted_days,
    pg_is_in_recovery() AS in_recovery,
    current_database()::text AS database_name
FROM pg_stat_user_indexes AS stats
WHERE stats.indexrelid = any(%(oids)s::oid[])

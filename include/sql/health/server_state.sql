-- One row: the server's version, role and start, since when its counters count, and what our role may see.
-- A crash zeroes all counters and stamps the shared ones anew, but leaves pg_stat_database.stats_reset empty;
-- a reset by hand stamps single ones. So: since the latest of the database's own stamp and the oldest shared one.
SELECT
    current_setting('server_version') AS version,
    pg_is_in_recovery() AS in_recovery,
    extract(EPOCH FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS uptime_seconds,
    extract(EPOCH FROM clock_timestamp() - greatest(
        (
            SELECT stats_reset FROM pg_stat_database
            WHERE datname = current_database()
        ),
        least(
            (SELECT stats_reset FROM pg_stat_bgwriter),
            (SELECT stats_reset FROM pg_stat_archiver),
            (SELECT stats_reset FROM pg_stat_wal)
        )
    ))::float8 / 3600 AS statistics_hours,
    current_setting('track_counts')::bool AS tracks_counts,
    current_setting('autovacuum')::bool AS autovacuum,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions

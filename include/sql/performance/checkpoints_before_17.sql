-- One row: checkpoints by their cause since the counters were last reset (up to PostgreSQL 16).
SELECT
    checkpoints_timed AS timed,
    checkpoints_req AS requested,
    checkpoint_write_time::float8 / 1000 AS write_seconds,
    stats_reset
FROM pg_stat_bgwriter

-- One row: checkpoints by their cause since the counters were last reset (from PostgreSQL 17 on).
SELECT
    num_timed AS timed,
    num_requested AS requested,
    write_time::float8 / 1000 AS write_seconds,
    stats_reset
FROM pg_stat_checkpointer

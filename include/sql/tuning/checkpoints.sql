-- A row is how many checkpoints there were since the counters began, by the clock and because WAL ran full.
SELECT
    checkpointer.num_timed::float8 AS timed,
    checkpointer.num_requested::float8 AS requested,
    checkpointer.stats_reset AS since
FROM pg_stat_checkpointer AS checkpointer

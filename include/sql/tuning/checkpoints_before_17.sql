-- A row is how many checkpoints there were since the counters began, by the clock and because WAL ran full.
SELECT
    writer.checkpoints_timed::float8 AS timed,
    writer.checkpoints_req::float8 AS requested,
    writer.stats_reset AS since
FROM pg_stat_bgwriter AS writer

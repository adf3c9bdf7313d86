-- One row: since when statements are counted, and how often the rarest were evicted for want of room.
SELECT
    dealloc,
    stats_reset,
    current_setting('pg_stat_statements.max') AS room
FROM pg_stat_statements_info

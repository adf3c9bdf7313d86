-- One row: blocks of this database found in shared buffers, and blocks that had to be read, since the last reset.
SELECT
    blks_hit AS hits,
    blks_read AS reads
FROM pg_stat_database
WHERE datname = current_database()

-- One row: how a table stands now, to be held against how it stood before; none when it is gone.
SELECT
    coalesce(stats.n_dead_tup, 0)::float8 AS dead,
    greatest(tables.relpages - tables.relallvisible, 0) AS invisible_pages,
    tables.relpages::bigint * current_setting('block_size')::bigint AS bytes,
    stats.last_vacuum AS vacuumed_at,
    stats.last_analyze AS analyzed_at,
    clock_timestamp() AS now
FROM pg_class AS tables
LEFT JOIN pg_stat_all_tables AS stats ON tables.oid = stats.relid
WHERE tables.oid = %(oid)s::oid

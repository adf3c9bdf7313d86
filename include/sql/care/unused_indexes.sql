-- A row is an index that no query of this server has used since its counters began, and that guards nothing; its size,
-- and the statement that removes it. %(minimum_bytes)s: smaller ones are not worth a word.
SELECT
    stats.indexrelid::bigint AS oid,
    stats.indexrelid::regclass::text AS index_name,
    stats.relid::regclass::text AS table_name,
    indexes.relpages * current_setting('block_size')::bigint AS bytes,
    concat(
        'DROP INDEX ', CASE WHEN indexes.relkind = 'I' THEN '' ELSE 'CONCURRENTLY ' END, stats.indexrelid::regclass, ';'
    ) AS statement
FROM pg_stat_user_indexes AS stats
INNER JOIN pg_index AS entries ON stats.indexrelid = entries.indexrelid
INNER JOIN pg_class AS indexes ON stats.indexrelid = indexes.oid
WHERE
    stats.idx_scan = 0
    AND NOT entries.indisunique AND NOT entries.indisprimary AND NOT entries.indisexclusion
    AND NOT entries.indisreplident AND NOT entries.indisclustered AND entries.indisvalid
    -- A part of a partitioned index goes with the whole.
    AND NOT EXISTS (
        SELECT FROM pg_inherits AS parts
        WHERE parts.inhrelid = stats.indexrelid
    )
    AND indexes.relpages * current_setting('block_size')::bigint >= %(minimum_bytes)s
ORDER BY bytes DESC

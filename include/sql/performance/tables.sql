-- A row is a table, with its partitions as one: bytes of its rows (TOAST included) and of its indexes, largest first.
-- What somebody holds exclusively, or waits to, is not measured but taken from its last VACUUM: asking would wait.
WITH held AS (
    SELECT relation FROM pg_locks
    WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
),

measured AS (
    SELECT
        relations.oid,
        relations.relkind,
        CASE
            WHEN relations.oid IN (SELECT held.relation FROM held)
                THEN relations.relpages * current_setting('block_size')::float8
            ELSE coalesce(pg_relation_size(relations.oid), 0)::float8
        END AS bytes
    FROM pg_class AS relations
    WHERE relations.relkind IN ('r', 'm', 't', 'i') AND relations.relpersistence <> 't'
),

belonging AS (  -- an index or a TOAST table belongs to a table, the index of a TOAST table to that one's
    SELECT
        coalesce(toasted.oid, indexes.indrelid, measured.oid) AS table_oid,
        measured.relkind = 'i' AND toasted.oid IS NULL AS is_index,
        measured.bytes
    FROM measured
    LEFT JOIN pg_index AS indexes ON measured.oid = indexes.indexrelid
    LEFT JOIN pg_class AS toasted ON coalesce(indexes.indrelid, measured.oid) = toasted.reltoastrelid
)

SELECT
    concat(quote_ident(schemas.nspname), '.', quote_ident(tables.relname)) AS name,
    coalesce(sum(belonging.bytes) FILTER (WHERE NOT belonging.is_index), 0) AS table_bytes,
    coalesce(sum(belonging.bytes) FILTER (WHERE belonging.is_index), 0) AS index_bytes,
    count(*) OVER () AS known
FROM belonging
INNER JOIN pg_class AS tables ON coalesce(pg_partition_root(belonging.table_oid), belonging.table_oid) = tables.oid
INNER JOIN pg_namespace AS schemas ON tables.relnamespace = schemas.oid
WHERE schemas.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
GROUP BY schemas.nspname, tables.relname
ORDER BY sum(belonging.bytes) DESC, name
LIMIT %(most)s

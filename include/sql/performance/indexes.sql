-- A row is an index with its table and its bytes, the largest first. What somebody holds exclusively is not measured
-- but taken from its last VACUUM: asking would wait.
WITH held AS (
    SELECT relation FROM pg_locks
    WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
),

measured AS (
    SELECT
        indexes.indexrelid,
        indexes.indrelid,
        CASE
            WHEN relations.oid IN (SELECT held.relation FROM held)
                THEN relations.relpages * current_setting('block_size')::float8
            ELSE coalesce(pg_relation_size(relations.oid), 0)::float8
        END AS bytes
    FROM pg_index AS indexes
    INNER JOIN pg_class AS relations ON indexes.indexrelid = relations.oid
    INNER JOIN pg_namespace AS schemas ON relations.relnamespace = schemas.oid
    WHERE
        relations.relkind = 'i'
        AND relations.relpersistence <> 't'
        AND schemas.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
)

SELECT
    concat(quote_ident(schemas.nspname), '.', quote_ident(relations.relname)) AS name,
    tables.relname AS table_name,
    measured.bytes,
    count(*) OVER () AS known
FROM measured
INNER JOIN pg_class AS relations ON measured.indexrelid = relations.oid
INNER JOIN pg_namespace AS schemas ON relations.relnamespace = schemas.oid
INNER JOIN pg_class AS tables ON measured.indrelid = tables.oid
ORDER BY measured.bytes DESC, name
LIMIT %(most)s

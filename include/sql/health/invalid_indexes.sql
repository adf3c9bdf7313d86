-- A row is an index that is not valid, whether somebody is building it right now, and the statement that ends it.
-- The progress view names one index of a builder at a time, and hides it from roles without pg_read_all_stats; but
-- every builder holds SHARE UPDATE EXCLUSIVE on the table for as long as it works, and everybody may see that.
SELECT
    indexes.oid::regclass::text AS index_name,
    pg_index.indrelid::regclass::text AS table_name,
    pg_relation_size(indexes.oid) AS bytes,
    pg_index.indrelid IN (
        SELECT locks.relation
        FROM pg_stat_progress_create_index AS builders
        INNER JOIN pg_locks AS locks ON builders.pid = locks.pid
        WHERE
            builders.datid = locks.database
            AND locks.mode = 'ShareUpdateExclusiveLock'
            AND locks.granted
    ) AS being_built,
    CASE
        WHEN indexes.relkind = 'I'
            THEN concat('ALTER INDEX ', indexes.oid::regclass, ' ATTACH PARTITION <index of a partition>;')
        WHEN indexes.relname ~ '_cc(new|old)[0-9]*$' THEN concat('DROP INDEX CONCURRENTLY ', indexes.oid::regclass, ';')
        ELSE concat('REINDEX INDEX CONCURRENTLY ', indexes.oid::regclass, ';')
    END AS remedy
FROM pg_index
INNER JOIN pg_class AS indexes ON pg_index.indexrelid = indexes.oid
WHERE NOT (pg_index.indisvalid AND pg_index.indisready AND pg_index.indislive)
ORDER BY index_name

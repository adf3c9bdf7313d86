-- A row is an index that another one of its table makes superfluous: the same in everything (then the one that guards
-- nothing, or was made later, is superfluous), or the beginning of the other's columns. And what removes it.
WITH entries AS (
    SELECT
        indexes.indexrelid,
        indexes.indrelid,
        indexes.indisunique,
        indexes.indisprimary OR indexes.indisexclusion OR indexes.indisreplident OR EXISTS (
            SELECT FROM pg_constraint AS constraints
            WHERE constraints.conindid = indexes.indexrelid
        ) AS guards,
        indexes.indnkeyatts,
        indexes.indnatts,
        concat(indexes.indkey::text, ' ') AS keys,
        concat(indexes.indclass::text, ' ') AS classes,
        concat(indexes.indcollation::text, ' ') AS collations,
        concat(indexes.indoption::text, ' ') AS options,
        coalesce(pg_get_expr(indexes.indexprs, indexes.indrelid), '') AS expressions,
        coalesce(pg_get_expr(indexes.indpred, indexes.indrelid), '') AS predicate,
        classes.relam,
        classes.relkind,
        classes.relpages,
        indexes.indnullsnotdistinct,
        indexes.indimmediate,
        classes.relam = (
            SELECT methods.oid FROM pg_am AS methods
            WHERE methods.amname = 'btree'
        ) AS ordered
    FROM pg_index AS indexes
    INNER JOIN pg_class AS classes ON indexes.indexrelid = classes.oid
    INNER JOIN pg_namespace AS spaces ON classes.relnamespace = spaces.oid
    WHERE
        indexes.indisvalid AND classes.relpersistence <> 't'
        AND spaces.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND NOT EXISTS (
            SELECT FROM pg_inherits AS parts
            WHERE parts.inhrelid = indexes.indexrelid
        )
),

pairs AS (
    SELECT
        lesser.*,
        better.indexrelid AS better_id,
        lesser.keys = better.keys AND lesser.indnkeyatts = better.indnkeyatts AS same
    FROM entries AS lesser
    INNER JOIN entries AS better
        ON
            lesser.indrelid = better.indrelid
            AND lesser.indexrelid <> better.indexrelid
            AND lesser.relam = better.relam
            AND lesser.predicate = better.predicate
            AND NOT lesser.guards
    WHERE
        (
            lesser.keys = better.keys AND lesser.classes = better.classes AND lesser.collations = better.collations
            AND lesser.options = better.options AND lesser.expressions = better.expressions
            AND lesser.indnkeyatts = better.indnkeyatts
            AND (
                NOT lesser.indisunique OR (
                    better.indisunique AND lesser.indnullsnotdistinct = better.indnullsnotdistinct
                    AND lesser.indimmediate = better.indimmediate
                )
            )
            AND (
                better.guards OR (better.indisunique AND NOT lesser.indisunique)
                OR better.indexrelid < lesser.indexrelid
            )
        )
        OR (
            lesser.ordered AND NOT lesser.indisunique AND lesser.expressions = '' AND better.expressions = ''
            AND lesser.indnatts = lesser.indnkeyatts AND better.indnkeyatts > lesser.indnkeyatts
            AND starts_with(better.keys, lesser.keys) AND starts_with(better.classes, lesser.classes)
            AND starts_with(better.collations, lesser.collations) AND starts_with(better.options, lesser.options)
        )
)

SELECT DISTINCT ON (pairs.indexrelid)
    pairs.indexrelid::regclass::text AS index_name,
    pairs.indrelid::regclass::text AS table_name,
    pairs.better_id::regclass::text AS better,
    pairs.same,
    pairs.relpages * current_setting('block_size')::bigint AS bytes,
    concat(
        'DROP INDEX ', CASE WHEN pairs.relkind = 'I' THEN '' ELSE 'CONCURRENTLY ' END, pairs.indexrelid::regclass, ';'
    ) AS statement
FROM pairs
ORDER BY pairs.indexrelid, pairs.same DESC, pairs.better_id

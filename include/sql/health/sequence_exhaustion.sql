-- A row is a sequence that does not start over: whether our role may read it, and the used share of its range, where
-- the range ends at the sequence's own limit or at that of the column it feeds, whichever comes first.
WITH sequences AS (
    SELECT
        pg_sequence.*,
        classes.oid::regclass::text AS sequence_name,
        has_sequence_privilege(classes.oid, 'SELECT, USAGE') AS readable,
        shown.last_value,
        coalesce(fed.attrelid::regclass || '.' || fed.attname, 'no column') AS feeds,
        CASE fed.atttypid
            WHEN 'smallint'::regtype THEN 32767::bigint
            WHEN 'integer'::regtype THEN 2147483647::bigint
            ELSE 9223372036854775807::bigint
        END AS column_max
    FROM pg_sequence
    INNER JOIN pg_class AS classes ON pg_sequence.seqrelid = classes.oid
    INNER JOIN pg_namespace AS schemas ON classes.relnamespace = schemas.oid
    LEFT JOIN pg_sequences AS shown ON schemas.nspname = shown.schemaname AND classes.relname = shown.sequencename
    LEFT JOIN pg_depend AS owned
        ON
            owned.classid = 'pg_class'::regclass AND classes.oid = owned.objid
            AND owned.refclassid = 'pg_class'::regclass AND owned.refobjsubid > 0 AND owned.deptype IN ('a', 'i')
    LEFT JOIN pg_attribute AS fed ON owned.refobjid = fed.attrelid AND owned.refobjsubid = fed.attnum
    WHERE classes.relpersistence <> 't' AND NOT pg_sequence.seqcycle
),

ranges AS (
    SELECT
        sequences.*,
        CASE
            WHEN sequences.seqincrement > 0 THEN least(sequences.seqmax, sequences.column_max)
            ELSE greatest(sequences.seqmin, -sequences.column_max)
        END
            AS last_possible,
        CASE WHEN sequences.seqincrement > 0 THEN sequences.seqmin ELSE sequences.seqmax END AS first_possible
    FROM sequences
)

SELECT
    sequence_name,
    readable,
    feeds,
    last_possible,
    100 * coalesce(last_value::numeric - first_possible, 0)::float8
    / nullif(last_possible::numeric - first_possible, 0)::float8 AS used_percent
FROM ranges
ORDER BY used_percent DESC

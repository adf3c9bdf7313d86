-- A row is one of the 20 fullest sequences that do not start over: the used share of its range, which ends at the
-- sequence's own limit or at that of the smallest column it feeds, whichever comes first; how many our role may read
-- and not read, and one of the latter.
WITH columns AS (  -- that own the sequence, or whose default takes from it
    SELECT
        objid AS sequence_oid,
        refobjid AS table_oid,
        refobjsubid AS column_number
    FROM pg_depend
    WHERE
        classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
        AND refobjsubid > 0 AND deptype IN ('a', 'i')
    UNION ALL
    SELECT
        depends.refobjid,
        defaults.adrelid,
        defaults.adnum
    FROM pg_depend AS depends
    INNER JOIN pg_attrdef AS defaults ON depends.objid = defaults.oid
    WHERE depends.classid = 'pg_attrdef'::regclass AND depends.refclassid = 'pg_class'::regclass
),

feeds AS (
    SELECT DISTINCT ON (columns.sequence_oid)
        columns.sequence_oid,
        fed.attrelid::regclass || '.' || fed.attname AS name,
        CASE fed.atttypid
            WHEN 'smallint'::regtype THEN 32767::bigint
            WHEN 'integer'::regtype THEN 2147483647::bigint
            ELSE 9223372036854775807::bigint
        END AS column_max
    FROM columns
    INNER JOIN pg_attribute AS fed ON columns.table_oid = fed.attrelid AND columns.column_number = fed.attnum
    ORDER BY columns.sequence_oid, column_max
),

sequences AS (
    SELECT
        pg_sequence.*,
        classes.oid::regclass::text AS sequence_name,
        has_sequence_privilege(classes.oid, 'SELECT, USAGE') AS readable,
        shown.last_value,
        coalesce(feeds.name, 'no column') AS feeds,
        coalesce(feeds.column_max, 9223372036854775807) AS column_max
    FROM pg_sequence
    INNER JOIN pg_class AS classes ON pg_sequence.seqrelid = classes.oid
    INNER JOIN pg_namespace AS schemas ON classes.relnamespace = schemas.oid
    LEFT JOIN pg_sequences AS shown ON schemas.nspname = shown.schemaname AND classes.relname = shown.sequencename
    LEFT JOIN feeds ON classes.oid = feeds.sequence_oid
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
    count(*) FILTER (WHERE readable) OVER () AS total,
    count(*) FILTER (WHERE NOT readable) OVER () AS hidden,
    min(sequence_name) FILTER (WHERE NOT readable) OVER () AS first_hidden,
    100 * coalesce(last_value::numeric - first_possible, 0)::float8
    / nullif(last_possible::numeric - first_possible, 0)::float8 AS used_percent
FROM ranges
ORDER BY readable DESC, used_percent DESC
LIMIT 20

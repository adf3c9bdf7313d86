-- A row is a foreign key whose columns no index of its table begins with, so that each row that is removed or changed
-- on the other side reads this table whole: its rows, and the statement that mends it.
SELECT
    constraints.conname::text AS constraint_name,
    constraints.conrelid::regclass::text AS table_name,
    constraints.confrelid::regclass::text AS refers_to,
    greatest(tables.reltuples, 0)::float8 AS rows_estimated,
    concat(
        'CREATE INDEX ', CASE WHEN tables.relkind = 'p' THEN '' ELSE 'CONCURRENTLY ' END, 'ON ',
        constraints.conrelid::regclass, ' (',
        (
            SELECT string_agg(quote_ident(attributes.attname), ', ' ORDER BY columns.place)
            FROM unnest(constraints.conkey) WITH ORDINALITY AS columns (number, place)
            INNER JOIN pg_attribute AS attributes
                ON attributes.attrelid = constraints.conrelid AND columns.number = attributes.attnum
        ),
        ');'
    ) AS statement
FROM pg_constraint AS constraints
INNER JOIN pg_class AS tables ON constraints.conrelid = tables.oid
WHERE
    constraints.contype = 'f'
    AND constraints.conparentid = 0
    AND tables.reltuples >= %(minimum_rows)s
    AND NOT EXISTS (
        SELECT FROM pg_index AS indexes
        WHERE
            indexes.indrelid = constraints.conrelid AND indexes.indisvalid AND indexes.indpred IS NULL
            AND indexes.indnkeyatts >= cardinality(constraints.conkey)
            -- In whatever order: the first so many columns are those of the key.
            AND (indexes.indkey::smallint[])[0:cardinality(constraints.conkey) - 1] @> constraints.conkey
    )
ORDER BY rows_estimated DESC

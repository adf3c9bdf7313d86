-- A row is a column that may be written, of a table that has rows and that no extension owns, small tables first.
SELECT
    n.nspname AS schema,
    c.relname AS name,
    a.attname AS column_name,
    t.typname AS type_name,
    a.attnotnull AS required
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
INNER JOIN pg_catalog.pg_attribute AS a ON c.oid = a.attrelid
INNER JOIN pg_catalog.pg_type AS t ON a.atttypid = t.oid
WHERE
    c.relkind = 'r'
    AND pg_catalog.pg_relation_size(c.oid) > 0
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND a.attnum > 0
    AND NOT a.attisdropped
    AND a.attgenerated = ''
    AND a.attidentity = ''
    AND t.typname = any(%(types)s)
    AND t.typnamespace = 'pg_catalog'::regnamespace
    AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
ORDER BY pg_catalog.pg_relation_size(c.oid), n.nspname, c.relname, a.attnum DESC
LIMIT 200

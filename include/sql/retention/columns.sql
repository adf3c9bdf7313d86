-- A row is a column of the relation %(oid)s, in order: its type, and what a way back has to know of it.
SELECT
    att.attname::text AS name,
    format_type(att.atttypid, att.atttypmod) AS type,
    CASE WHEN kind.typtype = 'b' AND space.nspname = 'pg_catalog' THEN kind.typname::text ELSE '' END AS base,
    att.attnotnull AS required,
    att.attgenerated <> '' AS generated
FROM pg_attribute AS att
INNER JOIN pg_type AS kind ON kind.oid = att.atttypid
INNER JOIN pg_namespace AS space ON space.oid = kind.typnamespace
WHERE att.attrelid = %(oid)s AND att.attnum > 0 AND NOT att.attisdropped
ORDER BY att.attnum

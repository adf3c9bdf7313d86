-- A row is a sequence that belongs to a column of the table %(oid)s, by identity or by OWNED BY.
SELECT
    att.attname::text AS column_name,
    att.attidentity <> '' AS is_identity,
    seq.oid::bigint AS oid,
    space.nspname::text AS schema,
    seq.relname::text AS name
FROM pg_depend AS dep
INNER JOIN pg_class AS seq ON seq.oid = dep.objid AND seq.relkind = 'S'
INNER JOIN pg_namespace AS space ON space.oid = seq.relnamespace
INNER JOIN pg_attribute AS att ON att.attrelid = dep.refobjid AND att.attnum = dep.refobjsubid
WHERE
    dep.classid = 'pg_class'::regclass
    AND dep.refclassid = 'pg_class'::regclass
    AND dep.refobjid = %(oid)s
    AND dep.deptype IN ('a', 'i')
ORDER BY att.attnum

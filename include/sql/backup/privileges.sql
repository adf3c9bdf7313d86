-- A row is something that pg_dump would have to read and that this role may not: what it lacks, and where.
WITH relations AS (
    SELECT
        class.oid,
        class.relkind,
        schemas.nspname AS schema,
        class.relname AS name
    FROM pg_catalog.pg_class AS class
    INNER JOIN pg_catalog.pg_namespace AS schemas ON schemas.oid = class.relnamespace
    WHERE
        class.relkind IN ('r', 'p', 'S')
        AND class.relpersistence <> 't'
        AND schemas.nspname !~ '^pg_'
        AND schemas.nspname <> 'information_schema'
        AND NOT EXISTS (
            SELECT 1
            FROM pg_catalog.pg_depend
            WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = class.oid AND objsubid = 0 AND deptype = 'e'
        )
)

SELECT
    1 AS turn,
    'usage' AS lacks,
    '' AS schema,
    relations.schema AS name
FROM relations
WHERE NOT pg_catalog.has_schema_privilege(relations.schema, 'USAGE')
UNION
SELECT
    2 AS turn,
    CASE WHEN relations.relkind = 'S' THEN 'sequence' ELSE 'table' END AS lacks,
    relations.schema,
    relations.name
FROM relations
WHERE NOT pg_catalog.has_table_privilege(relations.oid, 'SELECT')
UNION
SELECT
    3 AS turn,
    'row_security' AS lacks,
    relations.schema,
    relations.name
FROM relations
WHERE pg_catalog.row_security_active(relations.oid)
UNION
SELECT
    4 AS turn,
    'large_object' AS lacks,
    '' AS schema,
    large.oid::text AS name
FROM pg_catalog.pg_largeobject_metadata AS large
WHERE
    NOT pg_catalog.pg_has_role(large.lomowner, 'USAGE')
    AND NOT EXISTS (
        SELECT 1
        FROM pg_catalog.aclexplode(large.lomacl)
        WHERE
            privilege_type = 'SELECT'
            AND CASE WHEN grantee = 0 THEN TRUE ELSE pg_catalog.pg_has_role(grantee, 'USAGE') END
    )
ORDER BY 1, 3, 4

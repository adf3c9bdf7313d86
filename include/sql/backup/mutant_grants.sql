-- A row is a grant on a table or view to somebody other than its owner; an empty grantee is everybody.
SELECT DISTINCT
    n.nspname AS schema,
    c.relname AS name,
    CASE WHEN g.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(g.grantee) END AS grantee
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS g
WHERE
    c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND g.grantee <> c.relowner
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
ORDER BY schema, name, grantee
LIMIT 20

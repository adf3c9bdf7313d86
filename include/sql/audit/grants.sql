-- what a role, or PUBLIC, may do with an object of this database, other than its owner
WITH objects AS (
    SELECT
        'database' AS kind,
        datname::text AS object,
        coalesce(datacl, acldefault('d', datdba)) AS acl,
        datdba AS owner
    FROM pg_database
    WHERE datname = current_database()
    UNION ALL
    SELECT
        'schema',
        nspname::text,
        coalesce(nspacl, acldefault('n', nspowner)),
        nspowner
    FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    UNION ALL
    SELECT
        CASE WHEN relations.relkind = 'S' THEN 'sequence' ELSE 'table' END,
        quote_ident(schemas.nspname) || '.' || quote_ident(relations.relname),
        coalesce(
            relations.relacl,
            CASE
                WHEN relations.relkind = 'S' THEN acldefault('s', relations.relowner)
                ELSE acldefault('r', relations.relowner)
            END
        ),
        relations.relowner
    FROM pg_class AS relations
    INNER JOIN pg_namespace AS schemas ON relations.relnamespace = schemas.oid
    WHERE
        relations.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relations.relispartition
        AND schemas.nspname !~ '^pg_' AND schemas.nspname <> 'information_schema'
    UNION ALL
    SELECT
        'function that runs as its owner',
        quote_ident(schemas.nspname) || '.' || quote_ident(functions.proname),
        coalesce(functions.proacl, acldefault('f', functions.proowner)),
        functions.proowner
    FROM pg_proc AS functions
    INNER JOIN pg_namespace AS schemas ON functions.pronamespace = schemas.oid
    WHERE
        functions.prosecdef AND schemas.nspname !~ '^pg_' AND schemas.nspname <> 'information_schema'
)

SELECT
    objects.kind,
    objects.object,
    CASE WHEN granted.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(granted.grantee) END AS grantee,
    string_agg(
        granted.privilege_type || CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
        ', ' ORDER BY granted.privilege_type
    ) AS privileges
FROM objects
CROSS JOIN LATERAL aclexplode(objects.acl) AS granted
WHERE granted.grantee <> objects.owner
GROUP BY objects.kind, objects.object, granted.grantee
ORDER BY objects.kind, objects.object, grantee;

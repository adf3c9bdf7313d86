-- what a role, or PUBLIC, may do with an object of this database, other than its owner; of PostgreSQL's own objects
-- what was granted since they were made
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
        schemas.nspname::text,
        coalesce(schemas.nspacl, acldefault('n', schemas.nspowner)),
        schemas.nspowner
    FROM pg_namespace AS schemas
    LEFT JOIN pg_init_privs AS first ON first.classoid = 'pg_namespace'::regclass AND schemas.oid = first.objoid
    WHERE schemas.nspname !~ '^pg_(temp|toast)' AND schemas.nspacl IS DISTINCT FROM first.initprivs
    UNION ALL
    SELECT
        CASE WHEN relations.relkind = 'S' THEN 'sequence' ELSE 'table' END,
        quote_ident(schemas.nspname) || '.' || quote_ident(relations.relname),
        relations.relacl,
        relations.relowner
    FROM pg_class AS relations
    INNER JOIN pg_namespace AS schemas ON relations.relnamespace = schemas.oid
    LEFT JOIN pg_init_privs AS first
        ON first.classoid = 'pg_class'::regclass AND relations.oid = first.objoid AND first.objsubid = 0
    WHERE relations.relacl IS NOT NULL AND relations.relacl IS DISTINCT FROM first.initprivs
    UNION ALL
    SELECT
        'column',
        quote_ident(schemas.nspname) || '.' || quote_ident(relations.relname) || '.' || quote_ident(columns.attname),
        columns.attacl,
        relations.relowner
    FROM pg_attribute AS columns
    INNER JOIN pg_class AS relations ON columns.attrelid = relations.oid
    INNER JOIN pg_namespace AS schemas ON relations.relnamespace = schemas.oid
    LEFT JOIN pg_init_privs AS first
        ON
            first.classoid = 'pg_class'::regclass
            AND relations.oid = first.objoid
            AND columns.attnum = first.objsubid
    WHERE columns.attacl IS NOT NULL AND columns.attacl IS DISTINCT FROM first.initprivs
    UNION ALL
    SELECT
        CASE WHEN functions.prosecdef THEN 'function that runs as its owner' ELSE 'function' END,
        quote_ident(schemas.nspname) || '.' || functions.oid::regprocedure::text,
        coalesce(functions.proacl, acldefault('f', functions.proowner)),
        functions.proowner
    FROM pg_proc AS functions
    INNER JOIN pg_namespace AS schemas ON functions.pronamespace = schemas.oid
    LEFT JOIN pg_init_privs AS first ON first.classoid = 'pg_proc'::regclass AND functions.oid = first.objoid
    WHERE
        (functions.proacl IS NOT NULL AND functions.proacl IS DISTINCT FROM first.initprivs)
        OR (functions.prosecdef AND schemas.nspname <> 'pg_catalog')
    UNION ALL
    SELECT
        'future objects',
        pg_get_userbyid(defaults.defaclrole) || coalesce(' in ' || quote_ident(schemas.nspname), '')
        || ' of kind ' || defaults.defaclobjtype::text,
        defaults.defaclacl,
        defaults.defaclrole
    FROM pg_default_acl AS defaults
    LEFT JOIN pg_namespace AS schemas ON defaults.defaclnamespace = schemas.oid
    UNION ALL
    SELECT
        'parameter',
        parname,
        paracl,
        10
    FROM pg_parameter_acl
    UNION ALL
    SELECT
        'foreign server',
        srvname::text,
        srvacl,
        srvowner
    FROM pg_foreign_server
    WHERE srvacl IS NOT NULL
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

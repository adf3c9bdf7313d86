-- an object of people's and its owner, who may do everything with it
SELECT
    'database' AS kind,
    quote_ident(datname) AS object,
    pg_get_userbyid(datdba) AS owner
FROM pg_database
WHERE datname = current_database()
UNION ALL
SELECT
    'schema',
    quote_ident(nspname),
    pg_get_userbyid(nspowner)
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
UNION ALL
SELECT
    CASE WHEN relations.relkind = 'S' THEN 'sequence' ELSE 'table' END,
    quote_ident(schemas.nspname) || '.' || quote_ident(relations.relname),
    pg_get_userbyid(relations.relowner)
FROM pg_class AS relations
INNER JOIN pg_namespace AS schemas ON relations.relnamespace = schemas.oid
WHERE
    relations.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relations.relispartition
    AND schemas.nspname !~ '^pg_' AND schemas.nspname <> 'information_schema'
UNION ALL
SELECT
    'function that runs as its owner',
    quote_ident(schemas.nspname) || '.' || functions.oid::regprocedure::text,
    pg_get_userbyid(functions.proowner)
FROM pg_proc AS functions
INNER JOIN pg_namespace AS schemas ON functions.pronamespace = schemas.oid
WHERE functions.prosecdef AND schemas.nspname !~ '^pg_' AND schemas.nspname <> 'information_schema'
ORDER BY 1, 2;

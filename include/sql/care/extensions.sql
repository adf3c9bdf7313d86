-- A row is an extension that measures or checks indexes: the schema of its functions, whether our role may call them.
SELECT
    extensions.extname AS name,
    spaces.nspname AS schema_name,
    bool_and(has_function_privilege(functions.oid, 'EXECUTE') AND has_schema_privilege(spaces.oid, 'USAGE')) AS may
FROM pg_extension AS extensions
INNER JOIN pg_namespace AS spaces ON extensions.extnamespace = spaces.oid
INNER JOIN pg_proc AS functions
    ON
        spaces.oid = functions.pronamespace
        AND (
            (extensions.extname = 'pgstattuple' AND functions.proname = 'pgstatindex')
            OR (extensions.extname = 'amcheck' AND functions.proname = 'bt_index_check')
        )
GROUP BY extensions.extname, spaces.nspname

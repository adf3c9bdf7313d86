-- A row is an extension that measures or checks indexes: the schema of its functions, and whether our role may call the
-- one that we call.
WITH called (extension_name, function_name) AS (
    VALUES ('pgstattuple', 'pgstatindex(regclass)'), ('amcheck', 'bt_index_check(regclass,boolean)')
)

SELECT
    extensions.extname AS name,
    spaces.nspname AS schema_name,
    has_schema_privilege(spaces.oid, 'USAGE') AND has_function_privilege(
        concat(quote_ident(spaces.nspname), '.', called.function_name), 'EXECUTE'
    ) AS may
FROM pg_extension AS extensions
INNER JOIN pg_namespace AS spaces ON extensions.extnamespace = spaces.oid
INNER JOIN called ON extensions.extname = called.extension_name

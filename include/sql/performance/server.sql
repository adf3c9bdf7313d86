-- One row: the server's version as a number, whether it is a standby, the database's size, and what records statements.
SELECT
    current_database() AS database,
    current_setting('server_version') AS version,
    current_setting('server_version_num')::int AS version_num,
    pg_is_in_recovery() AS in_recovery,
    pg_database_size(current_database())::float8 AS database_bytes,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions,
    position('pg_stat_statements' IN current_setting('shared_preload_libraries')) > 0 AS preloaded,
    (
        SELECT extensions.extversion FROM pg_extension AS extensions
        WHERE extensions.extname = 'pg_stat_statements'
    ) AS extension_version,
    (
        SELECT schemas.nspname FROM pg_extension AS extensions
        INNER JOIN pg_namespace AS schemas ON extensions.extnamespace = schemas.oid
        WHERE extensions.extname = 'pg_stat_statements'
    ) AS extension_schema

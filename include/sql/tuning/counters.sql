-- A row is what this database has counted since its statistics began.
SELECT
    now() AS taken_at,
    -- A database that was never reset says nothing; its server knows when it was made. A restart changes neither.
    coalesce(databases.stats_reset, (SELECT writer.stats_reset FROM pg_stat_bgwriter AS writer)) AS since,
    databases.blks_hit::float8 AS blocks_hit,
    databases.blks_read::float8 AS blocks_read,
    databases.temp_files::float8 AS temp_files,
    databases.temp_bytes::float8 AS temp_bytes,
    databases.xact_commit::float8 AS commits,
    to_regclass('pg_stat_checkpointer') IS NOT NULL AS has_checkpointer,
    (
        SELECT schemas.nspname::text
        FROM pg_extension AS extensions
        INNER JOIN pg_namespace AS schemas ON extensions.extnamespace = schemas.oid
        WHERE extensions.extname = 'pg_stat_statements'
    ) AS statements_schema
FROM pg_stat_database AS databases
WHERE databases.datname = current_database()

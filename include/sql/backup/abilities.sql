-- One row: what this server offers to a database that is restored here.
SELECT
    current_setting('server_version_num')::int / 10000 AS major,
    -- the collation "unicode" stands there also without the library
    exists(
        SELECT 1 FROM pg_catalog.pg_collation
        WHERE collprovider = 'i' AND collname LIKE '%-x-icu'
    ) AS icu,
    (
        SELECT coalesce(pg_catalog.jsonb_object_agg(name, default_version), '{}')
        FROM pg_catalog.pg_available_extensions
    ) AS extensions,
    (
        SELECT coalesce(pg_catalog.jsonb_agg(distinct 'libc:' || collcollate), '[]')
        FROM pg_catalog.pg_collation
        WHERE collprovider = 'c' AND collcollate IS NOT NULL
    ) AS collations

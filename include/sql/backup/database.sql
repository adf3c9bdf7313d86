-- One row: version, encoding and locale of the database, and how many large objects it has.
SELECT
    current_setting('server_version_num')::int AS server_version_num,
    pg_catalog.pg_encoding_to_char(facts.encoding) AS encoding,
    facts.datcollate AS collation,
    facts.datctype AS character_type,
    CASE facts.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END AS locale_provider,
    -- the column was renamed in version 17
    coalesce(
        pg_catalog.to_jsonb(facts) ->> 'datlocale',
        pg_catalog.to_jsonb(facts) ->> 'daticulocale',
        facts.datcollate
    ) AS locale,
    (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata) AS large_objects
FROM pg_catalog.pg_database AS facts
WHERE facts.datname = current_database()

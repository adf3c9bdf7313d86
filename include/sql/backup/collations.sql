-- A row is a collation, as provider:locale, that this database needs beside its default one.
SELECT DISTINCT
    CASE each.collprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END
    || ':'
    || coalesce(
        pg_catalog.to_jsonb(each) ->> 'colllocale',
        pg_catalog.to_jsonb(each) ->> 'colliculocale',
        each.collcollate,
        ''
    ) AS collation
FROM pg_catalog.pg_collation AS each
WHERE
    each.collprovider <> 'd'
    AND (
        each.oid >= 16384
        OR EXISTS (
            SELECT 1
            FROM pg_catalog.pg_attribute AS columns
            INNER JOIN pg_catalog.pg_class AS relations ON relations.oid = columns.attrelid
            WHERE columns.attcollation = each.oid AND relations.oid >= 16384
        )
    )
ORDER BY 1

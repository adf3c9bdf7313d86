-- One row: how many large objects there are, and one digest of their contents, owners and grants, read through the
-- grants of each, for a role that may not read the table of their pages. It is the digest of `large_objects`.
WITH contents AS (
    SELECT
        large.oid AS loid,
        content.length,
        pages.digest
    FROM pg_catalog.pg_largeobject_metadata AS large
    CROSS JOIN LATERAL (SELECT octet_length(pg_catalog.lo_get(large.oid)) AS length) AS content
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(pg_catalog.hash_record_extended(
                row(pg_catalog.int4send(pageno), pg_catalog.rtrim(data, '\x00'::bytea)), 0
            )) FILTER (WHERE octet_length(pg_catalog.rtrim(data, '\x00'::bytea)) > 0), 0) AS digest
        FROM pg_catalog.generate_series(0, (content.length - 1) / 2048) AS pageno
        CROSS JOIN LATERAL (SELECT pg_catalog.lo_get(large.oid, pageno::int8 * 2048, 2048) AS data) AS page
        WHERE content.length > 0
    ) AS pages
)

SELECT
    count(*) AS count,
    coalesce(sum(pg_catalog.hashtextextended(pg_catalog.concat_ws(
        ' ',
        large.oid,
        pg_catalog.pg_get_userbyid(large.lomowner),
        CASE WHEN large.lomacl IS NOT NULL THEN (
            SELECT
                pg_catalog.string_agg(DISTINCT concat(
                    coalesce(role.rolname, 'PUBLIC'), '=', privilege_type, CASE WHEN is_grantable THEN '*' END
                ) COLLATE "C", ' ')
            FROM pg_catalog.aclexplode(large.lomacl)
            LEFT JOIN pg_catalog.pg_roles AS role ON role.oid = grantee
        ) END,
        contents.length,
        contents.digest
    ), 0)), 0) AS digest
FROM pg_catalog.pg_largeobject_metadata AS large
INNER JOIN contents ON contents.loid = large.oid

-- One row: how many large objects there are, and one digest of their contents, owners and grants.
-- A hole reads as zeros and is restored as zeros, so a page counts without the zeros at its end, and only if that
-- leaves something; the whole length counts beside them.
WITH contents AS (
    SELECT
        loid,
        max(pageno::int8 * 2048 + octet_length(data)) AS length,
        coalesce(sum(pg_catalog.hash_record_extended(
            row(pg_catalog.int4send(pageno), pg_catalog.rtrim(data, '\x00'::bytea)), 0
        )) FILTER (WHERE octet_length(pg_catalog.rtrim(data, '\x00'::bytea)) > 0), 0) AS digest
    FROM pg_catalog.pg_largeobject
    GROUP BY loid
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
        coalesce(contents.length, 0),
        coalesce(contents.digest, 0)
    ), 0)), 0) AS digest
FROM pg_catalog.pg_largeobject_metadata AS large
LEFT JOIN contents ON contents.loid = large.oid

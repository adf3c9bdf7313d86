-- A row is a sequence that pg_dump would dump, with its definition but not its state.
SELECT
    class.oid::int8 AS oid,
    schemas.nspname AS schema,
    class.relname AS name,
    pg_catalog.pg_get_userbyid(class.relowner) AS owner,
    (
        SELECT
            coalesce(pg_catalog.array_agg(DISTINCT pg_catalog.format(
                '%s=%s%s', coalesce(role.rolname, 'PUBLIC'), privilege_type, CASE WHEN is_grantable THEN '*' ELSE '' END
            )), '{}')
        FROM pg_catalog.aclexplode(coalesce(class.relacl, pg_catalog.acldefault('s', class.relowner)))
        LEFT JOIN pg_catalog.pg_roles AS role ON role.oid = grantee
    ) AS acl,
    pg_catalog.concat_ws(
        ' ',
        pg_catalog.format_type(sequence.seqtypid, NULL),
        'start', sequence.seqstart,
        'increment', sequence.seqincrement,
        'from', sequence.seqmin,
        'to', sequence.seqmax,
        'cache', sequence.seqcache,
        CASE WHEN sequence.seqcycle THEN 'cycle' END,
        (
            SELECT 'of ' || pg_catalog.min(pg_catalog.pg_describe_object(refclassid, refobjid, refobjsubid))
            FROM pg_catalog.pg_depend
            WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = class.oid AND deptype IN ('a', 'i')
        )
    ) AS definition,
    sequence.seqincrement AS increment
FROM pg_catalog.pg_sequence AS sequence
INNER JOIN pg_catalog.pg_class AS class ON class.oid = sequence.seqrelid
INNER JOIN pg_catalog.pg_namespace AS schemas ON schemas.oid = class.relnamespace
WHERE
    class.relpersistence <> 't'
    AND schemas.nspname !~ '^pg_'
    AND schemas.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT 1
        FROM pg_catalog.pg_depend
        WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = class.oid AND deptype = 'e'
    )
ORDER BY schemas.nspname, class.relname

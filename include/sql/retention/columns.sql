-- A row is a column of the relation %(oid)s, in order: its type, what a way back has to know of it, and the schema in
-- which its type's own equality lies (citext's is its extension's).
SELECT
    att.attname::text AS name,
    format_type(att.atttypid, att.atttypmod) AS type,
    CASE WHEN kind.typtype = 'b' AND space.nspname = 'pg_catalog' THEN kind.typname::text ELSE '' END AS base,
    att.attnotnull AS required,
    att.attgenerated <> '' AS generated,
    coalesce((
        SELECT op_space.nspname::text
        FROM pg_opclass AS class
        INNER JOIN pg_am AS method ON method.oid = class.opcmethod AND method.amname = 'btree'
        INNER JOIN pg_amop AS member ON member.amopfamily = class.opcfamily AND member.amopstrategy = 3
        INNER JOIN pg_operator AS op ON op.oid = member.amopopr AND op.oprname = '='
        INNER JOIN pg_namespace AS op_space ON op_space.oid = op.oprnamespace
        WHERE
            class.opcdefault
            AND class.opcintype = (
                WITH RECURSIVE base AS (
                    SELECT
                        kind.oid,
                        kind.typtype,
                        kind.typbasetype
                    UNION ALL
                    SELECT
                        under.oid,
                        under.typtype,
                        under.typbasetype
                    FROM base
                    INNER JOIN pg_type AS under ON under.oid = base.typbasetype
                    WHERE base.typtype = 'd'
                )

                SELECT base.oid FROM base
                WHERE base.typtype <> 'd'
            )
            AND member.amoplefttype = class.opcintype
            AND member.amoprighttype = class.opcintype
    ), 'pg_catalog') AS equals_in
FROM pg_attribute AS att
INNER JOIN pg_type AS kind ON kind.oid = att.atttypid
INNER JOIN pg_namespace AS space ON space.oid = kind.typnamespace
WHERE att.attrelid = %(oid)s AND att.attnum > 0 AND NOT att.attisdropped
ORDER BY att.attnum

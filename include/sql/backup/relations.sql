-- A row is a table, partitioned table, materialized view or foreign table that pg_dump would dump, with its columns.
WITH RECURSIVE chain AS (
    SELECT
        oid AS domain,
        typbasetype AS base
    FROM pg_catalog.pg_type
    WHERE typtype = 'd'
    UNION ALL
    SELECT
        chain.domain,
        deeper.typbasetype
    FROM chain
    INNER JOIN pg_catalog.pg_type AS deeper ON deeper.oid = chain.base
    WHERE deeper.typtype = 'd'
),

bases AS (
    SELECT
        chain.domain,
        chain.base
    FROM chain
    INNER JOIN pg_catalog.pg_type AS types ON types.oid = chain.base
    WHERE types.typtype <> 'd'
),

relations AS (
    SELECT
        class.*,
        schemas.nspname,
        configured.condition
    FROM pg_catalog.pg_class AS class
    INNER JOIN pg_catalog.pg_namespace AS schemas ON schemas.oid = class.relnamespace
    LEFT JOIN LATERAL (
        -- members of an extension are made by CREATE EXTENSION; only its configuration tables' rows are dumped
        SELECT extension.extcondition[place.n] AS condition
        FROM pg_catalog.pg_extension AS extension
        CROSS JOIN LATERAL pg_catalog.unnest(extension.extconfig) WITH ORDINALITY AS place (relation, n)
        WHERE place.relation = class.oid
    ) AS configured ON TRUE
    WHERE
        class.relkind IN ('r', 'p', 'm', 'f')
        AND class.relpersistence <> 't'
        AND schemas.nspname !~ '^pg_'
        AND schemas.nspname <> 'information_schema'
        AND (
            configured.condition IS NOT NULL
            OR NOT EXISTS (
                SELECT 1
                FROM pg_catalog.pg_depend
                WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = class.oid AND objsubid = 0 AND deptype = 'e'
            )
        )
),

columns AS (
    SELECT
        attribute.attrelid,
        pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_object(
                'name', attribute.attname,
                -- types below this number are made by initdb and have the same number everywhere
                'base', CASE WHEN base.oid < 16384 THEN base.typname ELSE '' END,
                'padded', attribute.atttypid = 'bpchar'::regtype AND attribute.atttypmod > 0,
                'signature', pg_catalog.concat_ws(
                    ' ',
                    pg_catalog.quote_ident(attribute.attname),
                    pg_catalog.format_type(attribute.atttypid, attribute.atttypmod),
                    CASE
                        WHEN attribute.attcollation <> type.typcollation
                            THEN 'collate ' || attribute.attcollation::regcollation::text
                    END,
                    CASE WHEN attribute.attnotnull THEN 'not null' END,
                    CASE WHEN attribute.attgenerated <> '' THEN 'generated ' || attribute.attgenerated::text END,
                    CASE WHEN attribute.attidentity <> '' THEN 'identity ' || attribute.attidentity::text END,
                    CASE WHEN attribute.attacl IS NOT NULL THEN (
                        SELECT
                            pg_catalog.string_agg(DISTINCT pg_catalog.format(
                                '%s=%s%s', coalesce(role.rolname, 'PUBLIC'), privilege_type,
                                CASE WHEN is_grantable THEN '*' ELSE '' END
                            ), ' ')
                        FROM pg_catalog.aclexplode(attribute.attacl)
                        LEFT JOIN pg_catalog.pg_roles AS role ON role.oid = grantee
                    ) END
                )
            )
            ORDER BY attribute.attnum
        ) AS listed
    FROM pg_catalog.pg_attribute AS attribute
    INNER JOIN relations ON relations.oid = attribute.attrelid
    INNER JOIN pg_catalog.pg_type AS type ON type.oid = attribute.atttypid
    LEFT JOIN bases ON bases.domain = attribute.atttypid
    INNER JOIN pg_catalog.pg_type AS base ON base.oid = coalesce(bases.base, attribute.atttypid)
    WHERE attribute.attnum > 0 AND NOT attribute.attisdropped
    GROUP BY attribute.attrelid
)

SELECT
    relations.oid::int8 AS oid,
    relations.nspname AS schema,
    relations.relname AS name,
    CASE relations.relkind
        WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'm' THEN 'matview' ELSE 'foreign'
    END AS kind,
    pg_catalog.pg_get_userbyid(relations.relowner) AS owner,
    (
        SELECT
            coalesce(pg_catalog.array_agg(DISTINCT pg_catalog.format(
                '%s=%s%s', coalesce(role.rolname, 'PUBLIC'), privilege_type, CASE WHEN is_grantable THEN '*' ELSE '' END
            )), '{}')
        FROM pg_catalog.aclexplode(coalesce(relations.relacl, pg_catalog.acldefault('r', relations.relowner)))
        LEFT JOIN pg_catalog.pg_roles AS role ON role.oid = grantee
    ) AS acl,
    relations.relrowsecurity AS row_security,
    relations.relispopulated AS populated,
    CASE WHEN relations.relkind = 'r' THEN coalesce(pg_catalog.pg_relation_size(relations.oid), 0) ELSE 0 END AS bytes,
    relations.relkind = 'r' AND coalesce(method.amname = 'heap', FALSE) AS heap,
    coalesce(relations.condition, '') AS condition,
    coalesce(columns.listed, '[]') AS columns
FROM relations
LEFT JOIN columns ON columns.attrelid = relations.oid
LEFT JOIN pg_catalog.pg_am AS method ON method.oid = relations.relam
ORDER BY relations.nspname, relations.relname

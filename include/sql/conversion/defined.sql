-- one row: how many columns and conditions the relations %(one)s and %(other)s do not have alike
WITH columns AS (
    SELECT
        att.attrelid AS oid,
        att.attname AS name,
        format_type(att.atttypid, att.atttypmod) AS kind,
        att.attcollation AS collation_oid,
        att.attnotnull AS required,
        att.attgenerated AS generated,
        att.attidentity AS identity,
        CASE WHEN att.attidentity = '' THEN pg_get_expr(def.adbin, def.adrelid) END AS default_text
    FROM pg_attribute AS att
    LEFT JOIN pg_attrdef AS def ON def.adrelid = att.attrelid AND def.adnum = att.attnum
    WHERE att.attrelid IN (%(one)s::oid, %(other)s::oid) AND att.attnum > 0 AND NOT att.attisdropped
    UNION ALL
    SELECT
        con.conrelid,
        con.conname,
        pg_get_constraintdef(con.oid),
        0,
        true,
        '',
        '',
        null
    FROM pg_constraint AS con
    WHERE con.conrelid IN (%(one)s::oid, %(other)s::oid) AND con.contype = 'c'
),

counted AS (
    SELECT count(DISTINCT oid) AS times
    FROM columns
    GROUP BY name, kind, collation_oid, required, generated, identity, default_text
)

SELECT count(*)::int AS differing FROM counted
WHERE times = 1

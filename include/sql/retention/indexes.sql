-- A row is a valid whole btree index of the relation %(oid)s, primary key first: its columns, whether they are a key,
-- whether PostgreSQL's own `=` is theirs, and of which of them ORDER BY is its order, forwards (0) or backwards (3).
SELECT
    class.relname::text AS name,
    array_agg(att.attname::text ORDER BY part.place) AS columns,
    index.indisunique AND index.indimmediate AND bool_and(att.attnotnull) AS is_key,
    bool_and(EXISTS (
        SELECT FROM pg_amop AS member
        INNER JOIN pg_operator AS op ON op.oid = member.amopopr
        WHERE
            member.amopfamily = class_of.opcfamily
            AND member.amoplefttype = class_of.opcintype
            AND member.amoprighttype = class_of.opcintype
            AND member.amopstrategy = 3
            AND op.oprnamespace = 'pg_catalog'::regnamespace
    )) AS is_comparable,
    array_agg(
        CASE
            WHEN
                class_of.opcnamespace = 'pg_catalog'::regnamespace
                AND EXISTS (
                    SELECT FROM pg_opclass AS usual
                    WHERE
                        usual.opcdefault
                        AND usual.opcfamily = class_of.opcfamily
                        AND usual.opcintype = class_of.opcintype
                )
                AND part.sorted_by = att.attcollation
                AND part.option IN (0, 3)
                THEN part.option
        END ORDER BY part.place
    ) AS walked
FROM pg_index AS index
INNER JOIN pg_class AS class ON class.oid = index.indexrelid
INNER JOIN pg_am AS method ON method.oid = class.relam AND method.amname = 'btree'
CROSS JOIN
    LATERAL unnest(
        index.indkey::int2[], index.indclass::oid[], index.indcollation::oid[], index.indoption::int2[]
    ) WITH ORDINALITY AS part (attnum, opclass, sorted_by, option, place)
INNER JOIN pg_attribute AS att ON att.attrelid = index.indrelid AND att.attnum = part.attnum
INNER JOIN pg_opclass AS class_of ON class_of.oid = part.opclass
WHERE
    index.indrelid = %(oid)s
    AND index.indisvalid
    AND index.indpred IS NULL
    AND index.indexprs IS NULL
    AND part.place <= index.indnkeyatts
GROUP BY class.relname, index.indisprimary, index.indisunique, index.indimmediate, index.indnkeyatts
ORDER BY index.indisprimary DESC, index.indnkeyatts, class.relname

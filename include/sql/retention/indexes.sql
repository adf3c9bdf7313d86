-- A row is a valid whole btree index of the relation %(oid)s, primary key first: its columns, whether they are a key.
SELECT
    class.relname::text AS name,
    array_agg(att.attname::text ORDER BY part.place) AS columns,
    index.indisunique AND index.indimmediate AND bool_and(att.attnotnull) AS is_key
FROM pg_index AS index
INNER JOIN pg_class AS class ON class.oid = index.indexrelid
INNER JOIN pg_am AS method ON method.oid = class.relam AND method.amname = 'btree'
CROSS JOIN LATERAL unnest(index.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
INNER JOIN pg_attribute AS att ON att.attrelid = index.indrelid AND att.attnum = part.attnum
WHERE
    index.indrelid = %(oid)s
    AND index.indisvalid
    AND index.indpred IS NULL
    AND index.indexprs IS NULL
    AND part.place <= index.indnkeyatts
GROUP BY class.relname, index.indisprimary, index.indisunique, index.indimmediate, index.indnkeyatts
ORDER BY index.indisprimary DESC, index.indnkeyatts, class.relname

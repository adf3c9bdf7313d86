-- A row is a valid index of the table %(oid)s, the primary key first: its columns (NULL: an expression) and its tail.
SELECT
    class.relname::text AS name,
    index.indisprimary AS is_primary,
    index.indisunique AS is_unique,
    index.indimmediate AS is_immediate,
    con.conname::text AS constraint_name,
    pg_get_constraintdef(con.oid) AS constraint_text,
    (
        SELECT array_agg(att.attname::text ORDER BY part.place)
        FROM unnest(index.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
        LEFT JOIN pg_attribute AS att ON att.attrelid = index.indrelid AND att.attnum = part.attnum
        WHERE part.place <= index.indnkeyatts
    ) AS columns,
    substr(
        pg_get_indexdef(index.indexrelid),
        length(concat(
            'CREATE ', CASE WHEN index.indisunique THEN 'UNIQUE ' ELSE '' END, 'INDEX ', quote_ident(class.relname),
            ' ON ', quote_ident(space.nspname), '.', quote_ident(owner.relname), ' USING '
        )) + 1
    ) AS tail
FROM pg_index AS index
INNER JOIN pg_class AS class ON class.oid = index.indexrelid
INNER JOIN pg_class AS owner ON owner.oid = index.indrelid
INNER JOIN pg_namespace AS space ON space.oid = owner.relnamespace
LEFT JOIN pg_constraint AS con ON con.conindid = index.indexrelid AND con.contype IN ('p', 'u')
WHERE index.indrelid = %(oid)s AND index.indisvalid
ORDER BY index.indisprimary DESC, class.relname

-- one row: the index %(name)s of the relation %(oid)s is there, and valid; none: it is not
SELECT true AS stands
FROM pg_index AS index
INNER JOIN pg_class AS class ON class.oid = index.indexrelid
WHERE index.indrelid = %(oid)s AND class.relname = %(name)s AND index.indisvalid

-- one row: how many relations of the connected database are no part of PostgreSQL
SELECT count(*) AS relations
FROM pg_catalog.pg_class AS relation
INNER JOIN pg_catalog.pg_namespace AS space ON space.oid = relation.relnamespace
WHERE space.nspname NOT LIKE 'pg\_%%' AND space.nspname <> 'information_schema';

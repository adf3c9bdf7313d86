-- A row is a name of %(names)s that a relation of the schema %(schema)s already has.
SELECT class.relname::text AS name
FROM pg_class AS class
INNER JOIN pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = %(schema)s AND class.relname::text = any(%(names)s::text[])
ORDER BY name

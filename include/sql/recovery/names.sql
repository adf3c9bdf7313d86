-- one row: a database whose name begins so
SELECT entry.datname AS name
FROM pg_catalog.pg_database AS entry
WHERE starts_with(entry.datname::text, %(beginning)s)
ORDER BY name;

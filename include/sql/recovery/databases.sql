-- one row: a database that can be entered
SELECT entry.datname AS name
FROM pg_catalog.pg_database AS entry
WHERE entry.datallowconn AND NOT entry.datistemplate
ORDER BY name;

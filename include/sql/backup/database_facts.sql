-- one row: a database of this server, with what has to be carried over when another takes its place
SELECT
    entry.oid::bigint AS oid,
    entry.datname AS name,
    pg_catalog.pg_get_userbyid(entry.datdba) AS owner,
    entry.datallowconn AS allows_connections,
    entry.datconnlimit AS connection_limit,
    place.spcname AS tablespace,
    coalesce(pg_catalog.shobj_description(entry.oid, 'pg_database'), '') AS comment
FROM pg_catalog.pg_database AS entry
INNER JOIN pg_catalog.pg_tablespace AS place ON place.oid = entry.dattablespace
WHERE entry.datname = %(name)s::name OR entry.oid = %(oid)s::bigint::oid;

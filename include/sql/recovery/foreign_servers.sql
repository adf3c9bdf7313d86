-- one row: a foreign server of the connected database that leads to a database of this name, maybe on another host
SELECT foreign_server.srvname::text AS name
FROM pg_catalog.pg_foreign_server AS foreign_server
WHERE 'dbname=' || %(name)s::text = any(foreign_server.srvoptions)
ORDER BY name;

-- one row: a role of this server
SELECT role.rolname AS name
FROM pg_catalog.pg_roles AS role
ORDER BY name;

-- A row is a setting that ALTER DATABASE or ALTER ROLE gives somebody, whatever the files say; empty: all of them.
SELECT
    coalesce(databases.datname, '') AS database,
    coalesce(roles.rolname, '') AS role,
    split_part(given.entry, '=', 1) AS name,
    substr(given.entry, strpos(given.entry, '=') + 1) AS setting
FROM pg_db_role_setting AS holders
CROSS JOIN LATERAL unnest(holders.setconfig) AS given (entry)
LEFT JOIN pg_database AS databases ON holders.setdatabase = databases.oid
LEFT JOIN pg_roles AS roles ON holders.setrole = roles.oid
ORDER BY name, database, role

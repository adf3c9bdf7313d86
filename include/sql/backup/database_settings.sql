-- one row: a setting of a database: for everybody (an empty role), or for one role in it
SELECT
    coalesce(holder.rolname, '') AS role,
    left(setting.entry, strpos(setting.entry, '=') - 1) AS name,
    substr(setting.entry, strpos(setting.entry, '=') + 1) AS value
FROM pg_catalog.pg_db_role_setting AS kept
INNER JOIN pg_catalog.pg_database AS entry ON entry.oid = kept.setdatabase
LEFT JOIN pg_catalog.pg_roles AS holder ON holder.oid = kept.setrole
CROSS JOIN LATERAL unnest(kept.setconfig) WITH ORDINALITY AS setting (entry, place)
WHERE entry.datname = %(name)s::name
ORDER BY role, setting.place;

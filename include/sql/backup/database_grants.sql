-- one row: a privilege on a database; an empty grantee is PUBLIC
SELECT
    coalesce(grantee.rolname, '') AS grantee,
    privilege.privilege_type AS privilege,
    privilege.is_grantable
FROM pg_catalog.pg_database AS entry
CROSS JOIN pg_catalog.aclexplode(coalesce(entry.datacl, pg_catalog.acldefault('d', entry.datdba))) AS privilege
LEFT JOIN pg_catalog.pg_roles AS grantee ON grantee.oid = privilege.grantee
WHERE entry.datname = %(name)s::name
ORDER BY grantee, privilege, privilege.is_grantable;

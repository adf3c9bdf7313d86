-- A row is a right that somebody else than the owner has on the relation %(oid)s, or on one of its columns.
SELECT
    '' AS column_name,
    acl.privilege_type AS privilege,
    CASE WHEN acl.grantee = 0 THEN '' ELSE pg_get_userbyid(acl.grantee)::text END AS grantee,
    acl.is_grantable AS grantable
FROM pg_class AS class
CROSS JOIN LATERAL aclexplode(class.relacl) AS acl
WHERE class.oid = %(oid)s AND acl.grantee <> class.relowner
UNION
SELECT
    att.attname::text AS column_name,
    acl.privilege_type AS privilege,
    CASE WHEN acl.grantee = 0 THEN '' ELSE pg_get_userbyid(acl.grantee)::text END AS grantee,
    acl.is_grantable AS grantable
FROM pg_attribute AS att
INNER JOIN pg_class AS class ON class.oid = att.attrelid
CROSS JOIN LATERAL aclexplode(att.attacl) AS acl
WHERE att.attrelid = %(oid)s AND NOT att.attisdropped AND acl.grantee <> class.relowner
ORDER BY column_name, grantee, privilege

-- A row is somebody else than the owner who has a right on one of the relations %(names)s of the schema %(schema)s.
SELECT DISTINCT
    class.relname::text AS name,
    CASE WHEN acl.grantee = 0 THEN '' ELSE pg_get_userbyid(acl.grantee)::text END AS grantee
FROM pg_class AS class
INNER JOIN pg_namespace AS space ON space.oid = class.relnamespace
CROSS JOIN LATERAL aclexplode(class.relacl) AS acl
WHERE space.nspname = %(schema)s AND class.relname::text = any(%(names)s::text[]) AND acl.grantee <> class.relowner
ORDER BY name, grantee

-- one row: what there is to know of the table %(oid)s before it is converted, and what our role may do
SELECT
    class.relkind::text AS kind,
    class.relpersistence::text AS persistence,
    class.reloftype <> 0 AS typed,
    class.relrowsecurity AS row_security,
    class.reltablespace <> 0 AS has_tablespace,
    EXISTS(
        SELECT 1 FROM pg_inherits AS inh
        WHERE inh.inhrelid = class.oid
    ) AS inherits,
    EXISTS(
        SELECT 1 FROM pg_depend AS dep
        WHERE dep.classid = 'pg_class'::regclass AND dep.objid = class.oid AND dep.deptype = 'e'
    ) AS of_extension,
    PG_GET_USERBYID(class.relowner)::text AS owner,
    CASE
        WHEN CURRENT_SETTING('server_version_num')::int >= 160000 THEN PG_HAS_ROLE(class.relowner, 'SET')
        ELSE PG_HAS_ROLE(class.relowner, 'MEMBER')
    END AS may_act_as_owner,
    HAS_SCHEMA_PRIVILEGE(class.relowner, class.relnamespace, 'CREATE') AS owner_may_create,
    CURRENT_SETTING('server_version_num')::int AS version,
    PG_TOTAL_RELATION_SIZE(class.oid)::bigint AS bytes,
    COALESCE(OBJ_DESCRIPTION(class.oid, 'pg_class'), '') AS comment
FROM pg_class AS class
WHERE class.oid = %(oid)s

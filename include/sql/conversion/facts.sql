-- one row: what there is to know of the table %(oid)s before it is converted, and what our role may do
SELECT
    class.relkind::text AS kind,
    class.relpersistence::text AS persistence,
    class.reloftype <> 0 AS typed,
    class.relrowsecurity AS row_security,
    class.reltablespace <> 0 AS has_tablespace,
    EXISTS (SELECT 1 FROM pg_inherits AS inh WHERE inh.inhrelid = class.oid) AS inherits,
    EXISTS (
        SELECT 1 FROM pg_depend AS dep
        WHERE dep.classid = 'pg_class'::regclass AND dep.objid = class.oid AND dep.deptype = 'e'
    ) AS of_extension,
    pg_get_userbyid(class.relowner)::text AS owner,
    CASE
        WHEN current_setting('server_version_num')::int >= 160000 THEN pg_has_role(class.relowner, 'SET')
        ELSE pg_has_role(class.relowner, 'MEMBER')
    END AS may_act_as_owner,
    has_schema_privilege(class.relowner, class.relnamespace, 'CREATE') AS owner_may_create,
    current_setting('server_version_num')::int AS version,
    pg_total_relation_size(class.oid)::bigint AS bytes,
    coalesce(obj_description(class.oid, 'pg_class'), '') AS comment
FROM pg_class AS class
WHERE class.oid = %(oid)s

-- one row: the relation %(name)s of the schema %(schema)s, its size and its comment; none: there is none
SELECT
    class.oid::bigint AS oid,
    class.relkind::text AS kind,
    coalesce(obj_description(class.oid, 'pg_class'), '') AS comment,
    pg_get_userbyid(class.relowner)::text AS owner,
    (
        SELECT coalesce(sum(pg_total_relation_size(tree.relid)), 0)::bigint FROM pg_partition_tree(class.oid) AS tree
    ) + CASE WHEN class.relkind = 'r' AND NOT class.relispartition THEN pg_total_relation_size(class.oid) ELSE 0 END
        AS bytes
FROM pg_class AS class
INNER JOIN pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = %(schema)s AND class.relname = %(name)s

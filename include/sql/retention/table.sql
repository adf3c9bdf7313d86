-- one row: the table %(table)s of the schema %(schema)s, and what we may do with it; none: there is no such relation
SELECT
    class.oid::bigint AS oid,
    class.relkind::text AS kind,
    class.relpersistence::text AS persistence,
    class.relispartition AS is_partition,
    class.relhassubclass AND class.relkind = 'r' AS has_heirs,
    row_security_active(class.oid) AS row_security,
    pg_has_role(class.relowner, 'USAGE') AS owned,
    pg_get_userbyid(class.relowner)::text AS owner,
    has_table_privilege(class.oid, 'SELECT') AND has_table_privilege(class.oid, 'DELETE') AS may,
    coalesce((
        SELECT has_language_privilege(lang.oid, 'USAGE') FROM pg_language AS lang
        WHERE lang.lanname = 'plpgsql'
    ), false) AS may_loop,
    (
        SELECT greatest(coalesce(sum(pg_table_size(tree.relid)), 0), 0)::bigint
        FROM pg_partition_tree(class.oid) AS tree
    ) + CASE WHEN class.relkind = 'r' AND NOT class.relispartition THEN pg_table_size(class.oid) ELSE 0 END AS bytes,
    coalesce((
        SELECT sum(greatest(leaf.reltuples, 0))::bigint
        FROM pg_partition_tree(class.oid) AS tree
        INNER JOIN pg_class AS leaf ON leaf.oid = tree.relid
        WHERE tree.isleaf
    ), greatest(class.reltuples, 0)::bigint) AS rows_about
FROM pg_class AS class
INNER JOIN pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = %(schema)s AND class.relname = %(table)s

-- A row is a partition of the relation %(oid)s at any depth: its bound, its parent, and how that one is partitioned.
SELECT
    leaf.oid::bigint AS oid,
    space.nspname::text AS schema,
    leaf.relname::text AS name,
    parent.oid::bigint AS parent_oid,
    parent_space.nspname::text AS parent_schema,
    parent.relname::text AS parent_name,
    tree.isleaf AS is_leaf,
    pg_get_expr(leaf.relpartbound, leaf.oid) AS bound,
    part.partstrat::text AS strategy,
    part.partdefid <> 0 AS has_default,
    CASE
        WHEN part.partnatts = 1
            THEN (
                SELECT att.attname::text
                FROM pg_attribute AS att
                WHERE att.attrelid = parent.oid AND att.attnum = (part.partattrs::int2[])[0]
            )
    END AS by_column,
    part.partnatts = 1 AND coalesce((
        SELECT att.atttypid IN ('text'::regtype, 'varchar'::regtype) AND coll.collisdeterministic
        FROM pg_attribute AS att
        INNER JOIN pg_collation AS coll ON coll.oid = part.partcollation[0]
        WHERE att.attrelid = parent.oid AND att.attnum = (part.partattrs::int2[])[0]
    ), false) AS by_text,
    leaf.relkind::text AS kind,
    greatest(pg_stat_get_live_tuples(leaf.oid), 0)::bigint AS rows_about,
    pg_total_relation_size(leaf.oid)::bigint AS bytes
FROM pg_partition_tree(%(oid)s::oid) AS tree
INNER JOIN pg_class AS leaf ON leaf.oid = tree.relid
INNER JOIN pg_namespace AS space ON space.oid = leaf.relnamespace
INNER JOIN pg_class AS parent ON parent.oid = tree.parentrelid
INNER JOIN pg_namespace AS parent_space ON parent_space.oid = parent.relnamespace
INNER JOIN pg_partitioned_table AS part ON part.partrelid = parent.oid
WHERE tree.level > 0
ORDER BY tree.level, leaf.relname

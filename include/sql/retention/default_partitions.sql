-- A row is a DEFAULT partition in the tree of the relation %(oid)s, and the partition or table that it belongs to.
SELECT
    leaf.oid::bigint AS oid,
    space.nspname::text AS schema,
    leaf.relname::text AS name,
    tree.parentrelid::bigint AS parent_oid
FROM pg_partition_tree(%(oid)s::oid) AS tree
INNER JOIN pg_class AS leaf ON leaf.oid = tree.relid
INNER JOIN pg_namespace AS space ON space.oid = leaf.relnamespace
INNER JOIN pg_partitioned_table AS part ON part.partdefid = leaf.oid
WHERE tree.isleaf
ORDER BY leaf.relname

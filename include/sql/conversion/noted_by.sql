-- one row: by what it is known that the changes of the relation %(oid)s are noted; a trigger that was disabled has
-- another transaction's number
SELECT
    coalesce(string_agg(concat(trig.tgname, ' ', trig.oid, ' ', trig.xmin), ', ' ORDER BY trig.tgname), '') AS evidence,
    count(*) FILTER (WHERE trig.tgenabled = 'A')::int AS enabled,
    (
        SELECT count(*)::int
        FROM pg_partition_tree(%(oid)s::oid) AS tree
        WHERE
            tree.isleaf
            AND NOT EXISTS (
                SELECT 1 FROM pg_trigger AS part
                WHERE part.tgrelid = tree.relid AND part.tgname = 'tdev_note_changes' AND part.tgenabled = 'A'
            )
    ) AS parts_without
FROM pg_trigger AS trig
WHERE trig.tgrelid = %(oid)s AND trig.tgname IN ('tdev_note_changes', 'tdev_note_truncate')

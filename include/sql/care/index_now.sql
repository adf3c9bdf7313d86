-- One row: an index as it stands now, known by its name (a rebuild gives it another oid); none when it is gone.
SELECT
    indexes.oid::bigint AS oid,
    pg_relation_size(indexes.oid) AS bytes,
    entries.indisvalid AS valid
FROM pg_class AS indexes
INNER JOIN pg_namespace AS spaces ON indexes.relnamespace = spaces.oid
INNER JOIN pg_index AS entries ON indexes.oid = entries.indexrelid
WHERE spaces.nspname = %(schema)s AND indexes.relname = %(name)s

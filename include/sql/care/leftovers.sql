-- A row is an index that is not valid. It is a leftover of a dead rebuild when it bears the name of one and has a valid
-- twin on its table; somebody may be building it (whoever does holds a lock on the table that says so).
SELECT
    indexes.oid::bigint AS oid,
    spaces.nspname AS schema_name,
    indexes.relname AS index_name,
    entries.indrelid::bigint AS table_oid,
    entries.indrelid::regclass::text AS table_name,
    indexes.relpages * current_setting('block_size')::bigint AS bytes,
    pg_get_indexdef(indexes.oid) AS definition,
    indexes.relname ~ '_cc(new|old)[0-9]*$' AND EXISTS (
        SELECT FROM pg_index AS twins
        WHERE
            twins.indrelid = entries.indrelid AND twins.indexrelid <> entries.indexrelid AND twins.indisvalid
            AND twins.indkey::text = entries.indkey::text AND twins.indclass::text = entries.indclass::text
            AND twins.indcollation::text = entries.indcollation::text
            AND twins.indoption::text = entries.indoption::text
            AND pg_get_expr(twins.indexprs, twins.indrelid) IS NOT DISTINCT FROM pg_get_expr(
                entries.indexprs, entries.indrelid
            )
            AND pg_get_expr(twins.indpred, twins.indrelid) IS NOT DISTINCT FROM pg_get_expr(
                entries.indpred, entries.indrelid
            )
    ) AS is_leftover,
    (
        SELECT min(locks.pid) FROM pg_locks AS locks
        WHERE
            locks.relation = entries.indrelid AND locks.locktype = 'relation' AND locks.pid <> pg_backend_pid()
            AND locks.database = (
                SELECT oid FROM pg_database
                WHERE datname = current_database()
            )
            AND locks.mode IN (
                'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'
            )
    ) AS worker_pid,
    pg_get_userbyid(indexes.relowner) AS owner,
    pg_has_role(indexes.relowner, 'USAGE') AS may
FROM pg_index AS entries
INNER JOIN pg_class AS indexes ON entries.indexrelid = indexes.oid
INNER JOIN pg_namespace AS spaces ON indexes.relnamespace = spaces.oid
WHERE NOT (entries.indisvalid AND entries.indisready AND entries.indislive)
ORDER BY indexes.oid

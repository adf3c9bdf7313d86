-- A row is a table of this database that needs care, or is always analyzed: what it needs, by which figures, its size,
-- whether our role may vacuum it. Its age is in percent of the limit from which autovacuum is forced to freeze: the
-- worst of transactions and multixacts, of the table and of its TOAST table. Nothing here waits for a lock.
WITH RECURSIVE limits AS (
    SELECT
        current_setting('autovacuum_freeze_max_age')::float8 / 100 AS xid,
        current_setting('autovacuum_multixact_freeze_max_age')::float8 / 100 AS multixact
),

parts AS (
    SELECT
        inherits.inhparent AS root,
        inherits.inhrelid AS part
    FROM pg_inherits AS inherits
    INNER JOIN pg_class AS parents ON inherits.inhparent = parents.oid AND parents.relkind = 'p'
    UNION ALL
    SELECT
        parts.root,
        inherits.inhrelid
    FROM parts
    INNER JOIN pg_inherits AS inherits ON parts.part = inherits.inhparent
),

-- Nobody counts the changes of a partitioned table, and autovacuum never analyzes it: its partitions tell. One that was
-- analyzed later than the whole (which takes its time to be) counts with all of its rows: what changed is forgotten.
in_partitions AS (
    SELECT
        parts.root,
        sum(
            CASE
                WHEN roots.last_analyze + interval '1 hour' >= greatest(stats.last_analyze, stats.last_autoanalyze)
                    THEN stats.n_mod_since_analyze
                ELSE greatest(stats.n_mod_since_analyze, stats.n_live_tup)
            END
        ) AS changed,
        sum(stats.n_live_tup) AS live
    FROM parts
    INNER JOIN pg_stat_all_tables AS stats ON parts.part = stats.relid
    LEFT JOIN pg_stat_all_tables AS roots ON parts.root = roots.relid
    GROUP BY parts.root
),

figures AS (
    SELECT
        tables.oid,
        spaces.nspname,
        tables.relname,
        tables.relkind,
        tables.relowner,
        tables.relpages,
        greatest(tables.reltuples, in_partitions.live, 0)::float8 AS rows_estimated,
        greatest(tables.relpages - tables.relallvisible, 0) AS invisible_pages,
        coalesce(stats.n_dead_tup, 0)::float8 AS dead,
        coalesce(in_partitions.changed, stats.n_mod_since_analyze, 0)::float8 AS changed,
        coalesce(stats.n_tup_ins + stats.n_tup_upd + stats.n_tup_del, 0)::float8 AS written,
        CASE
            WHEN tables.relkind = 'p' THEN 0
            ELSE greatest(
                age(tables.relfrozenxid) / limits.xid,
                mxid_age(tables.relminmxid) / limits.multixact,
                age(toasts.relfrozenxid) / limits.xid,
                mxid_age(toasts.relminmxid) / limits.multixact
            )
        END AS age_percent,
        exists(
            SELECT FROM unnest(%(always)s::text[]) AS names (name)
            WHERE to_regclass(names.name) = tables.oid
        ) AS always,
        spaces.nspname IN ('pg_catalog', 'information_schema') AS is_catalog,
        pg_has_role(tables.relowner, 'USAGE')
        OR pg_has_role((
            SELECT databases.datdba FROM pg_database AS databases
            WHERE databases.datname = current_database()
        ), 'USAGE')
        OR EXISTS (
            SELECT FROM pg_roles AS roles
            WHERE roles.rolname = 'pg_maintain' AND pg_has_role(roles.oid, 'USAGE')
        ) AS may
    FROM pg_class AS tables
    INNER JOIN pg_namespace AS spaces ON tables.relnamespace = spaces.oid
    LEFT JOIN pg_class AS toasts ON tables.reltoastrelid = toasts.oid
    LEFT JOIN pg_stat_all_tables AS stats ON tables.oid = stats.relid
    LEFT JOIN in_partitions ON tables.oid = in_partitions.root
    CROSS JOIN limits
    WHERE tables.relkind IN ('r', 'm', 'p') AND tables.relpersistence <> 't'
),

needs AS (
    SELECT
        *,
        relkind <> 'p' AND dead >= greatest(%(dead_minimum)s, 1)
        AND dead >= rows_estimated * %(dead_percent)s / 100 AS is_dead,
        relkind <> 'p' AND invisible_pages >= greatest(%(invisible_pages)s, 1)
        AND invisible_pages >= relpages * %(invisible_percent)s / 100.0 AS is_invisible,
        age_percent >= %(freeze_percent)s AS is_old,
        -- ANALYZE leaves out the table that it writes.
        oid <> 'pg_statistic'::regclass AND changed >= greatest(%(changed_minimum)s, 1)
        AND changed >= rows_estimated * %(changed_percent)s / 100 AS is_changed
    FROM figures
)

SELECT
    oid::bigint AS oid,
    nspname AS schema_name,
    relname AS table_name,
    rows_estimated,
    invisible_pages,
    dead,
    changed,
    written,
    age_percent,
    is_dead,
    is_invisible,
    is_old,
    is_changed,
    always,
    pg_get_userbyid(relowner) AS owner,
    may
FROM needs
-- The server's own catalogs are autovacuum's, but for who may.
WHERE (is_dead OR is_invisible OR is_old OR is_changed OR always) AND (may OR NOT is_catalog)

-- A row is a table of this database that needs care, or is always analyzed: what it needs, by which figures, its size,
-- whether our role may vacuum it, and how many tables were looked at. Its age is in percent of the server's limit from
-- which autovacuum is forced to freeze: the worst of transactions and multixacts, of the table and of its TOAST table.
WITH limits AS (
    SELECT
        current_setting('autovacuum_freeze_max_age')::float8 / 100 AS xid,
        current_setting('autovacuum_multixact_freeze_max_age')::float8 / 100 AS multixact
),

figures AS (
    SELECT
        tables.oid,
        spaces.nspname,
        tables.relname,
        tables.relkind,
        tables.relowner,
        tables.relpages,
        greatest(tables.reltuples, 0)::float8 AS rows_estimated,
        greatest(tables.relpages - tables.relallvisible, 0) AS invisible_pages,
        coalesce(stats.n_dead_tup, 0)::float8 AS dead,
        coalesce(stats.n_mod_since_analyze, 0)::float8 AS changed,
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
        greatest(stats.last_vacuum, stats.last_autovacuum) AS vacuumed_at,
        greatest(stats.last_analyze, stats.last_autoanalyze) AS analyzed_at,
        tables.oid IN (SELECT to_regclass(names.name) FROM unnest(%(always)s::text[]) AS names (name)) AS always
    FROM pg_class AS tables
    INNER JOIN pg_namespace AS spaces ON tables.relnamespace = spaces.oid
    LEFT JOIN pg_class AS toasts ON tables.reltoastrelid = toasts.oid
    LEFT JOIN pg_stat_all_tables AS stats ON tables.oid = stats.relid
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
        AND changed >= rows_estimated * %(changed_percent)s / 100 AS is_changed,
        nspname IN ('pg_catalog', 'information_schema') AS is_catalog,
        pg_has_role(relowner, 'USAGE')
        OR pg_has_role((
            SELECT datdba FROM pg_database
            WHERE datname = current_database()
        ), 'USAGE')
        OR EXISTS (
            SELECT FROM pg_roles
            WHERE rolname = 'pg_maintain' AND pg_has_role(pg_roles.oid, 'USAGE')
        ) AS may,
        count(*) OVER () AS looked_at
    FROM figures
)

SELECT
    oid::bigint AS oid,
    nspname AS schema_name,
    relname AS table_name,
    relkind = 'p' AS partitioned,
    rows_estimated,
    relpages::bigint * current_setting('block_size')::bigint AS bytes,
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
    vacuumed_at,
    analyzed_at,
    pg_get_userbyid(relowner) AS owner,
    may,
    looked_at
FROM needs
-- The server's own catalogs are autovacuum's, but for who may.
WHERE (is_dead OR is_invisible OR is_old OR is_changed OR always) AND (may OR NOT is_catalog)

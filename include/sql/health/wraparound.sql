-- A row is one of the 20 oldest tables of this database (TOAST and temporary ones too) and databases of the cluster:
-- the ages of its oldest transaction and multixact ids, the server's limits, and how many were looked at.
WITH ages AS (
    SELECT
        'database' AS kind,
        datname::text AS name,
        age(datfrozenxid) AS xid_age,
        mxid_age(datminmxid) AS multixact_age
    FROM pg_database
    UNION ALL
    SELECT
        CASE tables.relkind WHEN 't' THEN 'TOAST of table' ELSE 'table' END,
        coalesce(owners.oid, tables.oid)::regclass::text,
        age(tables.relfrozenxid),
        mxid_age(tables.relminmxid)
    FROM pg_class AS tables
    LEFT JOIN pg_class AS owners ON tables.oid = owners.reltoastrelid AND tables.relkind = 't'
    WHERE tables.relkind IN ('r', 'm', 't') AND tables.relfrozenxid <> '0'::xid
),

limits AS (
    SELECT
        current_setting('autovacuum_freeze_max_age')::bigint AS xid_freeze_max_age,
        current_setting('vacuum_failsafe_age')::bigint AS xid_failsafe_age,
        current_setting('autovacuum_multixact_freeze_max_age')::bigint AS multixact_freeze_max_age,
        current_setting('vacuum_multixact_failsafe_age')::bigint AS multixact_failsafe_age
)

SELECT
    ages.*,
    limits.*,
    count(*) OVER () AS looked_at
FROM ages
CROSS JOIN limits
ORDER BY
    greatest(
        ages.xid_age / limits.xid_freeze_max_age::float8,
        ages.multixact_age / limits.multixact_freeze_max_age::float8
    ) DESC
LIMIT 20

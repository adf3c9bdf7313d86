-- A row is somebody who may hold back the xmin horizon: a session, a prepared transaction, a slot or a standby.
-- Its name, for how many seconds its transaction is open (empty for slots), and how many transactions it holds back.
SELECT
    CASE WHEN starts_with(state, 'idle in transaction') THEN 'idle session' ELSE 'session' END AS kind,
    concat_ws(' ', 'pid', pid, 'of', coalesce(usename, backend_type), nullif('(' || application_name || ')', '()'))
        AS holder,
    extract(EPOCH FROM clock_timestamp() - xact_start)::float8 AS open_seconds,
    greatest(age(backend_xmin), age(backend_xid)) AS xmin_age
FROM pg_stat_activity
WHERE
    xact_start IS NOT NULL
    AND pid <> pg_backend_pid()
    AND backend_type NOT IN ('walsender', 'autovacuum worker')  -- VACUUM's own snapshot holds nothing back
UNION ALL
SELECT
    'prepared transaction',
    concat(quote_literal(gid), ' of ', owner, ' in ', database),
    extract(EPOCH FROM clock_timestamp() - prepared)::float8,
    age(transaction)
FROM pg_prepared_xacts
UNION ALL
SELECT
    'replication slot',
    slot_name,
    NULL,
    greatest(age(xmin), age(catalog_xmin))
FROM pg_replication_slots
WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
UNION ALL
SELECT
    'standby',
    coalesce(nullif(application_name, ''), host(client_addr)),
    NULL,
    age(backend_xmin)
FROM pg_stat_replication
WHERE backend_xmin IS NOT NULL
ORDER BY xmin_age DESC NULLS LAST

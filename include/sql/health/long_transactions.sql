-- A row is one of the 20 worst (by each figure) who may hold back the xmin horizon: a session, a prepared transaction,
-- a slot or a standby. Its name, for how many seconds its transaction is open and idle (empty where time says nothing),
-- how many transactions it holds back, whether it holds back this database's (it may be another's), and how many such
-- rows there are.
WITH sessions AS (
    SELECT
        pid,
        backend_xmin,
        backend_xid,
        xact_start,
        coalesce(datname = current_database(), FALSE) AS is_ours,
        concat_ws(' ', 'pid', pid, 'of', coalesce(usename, backend_type), nullif('(' || application_name || ')', '()'))
            AS holder,
        -- The leader of a parallel pg_dump, and whoever of us lends it a snapshot, have to idle.
        CASE
            WHEN
                starts_with(state, 'idle in transaction') AND application_name <> 'pg_dump'
                AND NOT starts_with(application_name, 'tdev-maintenance')
                THEN extract(EPOCH FROM clock_timestamp() - state_change)::float8
        END AS idle_seconds,
        pid IN (
            SELECT builders.pid FROM pg_stat_progress_create_index AS builders
            WHERE builders.command ~ 'CONCURRENTLY$'
        ) AS builds
    FROM pg_stat_activity
    WHERE
        xact_start IS NOT NULL
        AND pid <> pg_backend_pid()
        AND backend_type NOT IN ('walsender', 'parallel worker')  -- a worker has the snapshot of its leader
        AND pid NOT IN (SELECT vacuums.pid FROM pg_stat_progress_vacuum AS vacuums)  -- its snapshot holds nothing back
),

holders AS (
    SELECT
        CASE WHEN builds THEN 'index build' WHEN idle_seconds IS NOT NULL THEN 'idle session' ELSE 'session' END
            AS kind,
        holder,
        -- A build without locks takes as long as its table is large.
        CASE WHEN NOT builds THEN extract(EPOCH FROM clock_timestamp() - xact_start)::float8 END AS open_seconds,
        idle_seconds,
        greatest(age(backend_xmin), age(backend_xid)) AS xmin_age,
        is_ours
    FROM sessions
    UNION ALL
    SELECT
        'prepared transaction',
        concat(quote_literal(gid), ' of ', owner, ' in ', database),
        extract(EPOCH FROM clock_timestamp() - prepared)::float8,
        NULL,
        age(transaction),
        database = current_database()
    FROM pg_prepared_xacts
    UNION ALL
    SELECT
        'replication slot',
        slot_name,
        NULL,
        NULL,
        greatest(age(xmin), age(catalog_xmin)),
        TRUE
    FROM pg_replication_slots
    WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
    UNION ALL
    SELECT
        'standby',
        coalesce(nullif(application_name, ''), host(client_addr)),
        NULL,
        NULL,
        age(backend_xmin),
        TRUE
    FROM pg_stat_replication
    WHERE backend_xmin IS NOT NULL
)

SELECT
    *,
    count(*) OVER () AS total
FROM holders
ORDER BY
    least(
        row_number() OVER (ORDER BY xmin_age DESC NULLS LAST),
        row_number() OVER (ORDER BY open_seconds DESC NULLS LAST),
        row_number() OVER (ORDER BY idle_seconds DESC NULLS LAST)
    )
LIMIT 20

-- A row is one of the 20 most neglected vacuums or analyzes that a table (TOAST and catalogs too) needs now and is not
-- getting: why, the table's storage options honoured; the hours since it last had one (empty: never since the counters
-- began); for how long it has been neglected (empty: that is not known); and how many such rows there are.
-- The server does not keep when a table passed its threshold. Neglected is what holds %(multiple)s times its threshold,
-- since its last vacuum or analyze; and what was past its threshold for certain when it was last analyzed, since then:
-- what changed later does not explain the figure.
-- The cap of 18 (autovacuum_vacuum_max_threshold) is honoured; its discount for frozen pages on inserts is not, so
-- that a table is listed late rather than wrongly.
WITH tables AS (
    SELECT
        classes.oid,
        classes.relkind,
        greatest(classes.reltuples, 0) AS rows_estimated,
        -- A TOAST table without options of its own takes those of its owner, as autovacuum does.
        coalesce(classes.reloptions, owners.reloptions) AS options
    FROM pg_class AS classes
    LEFT JOIN pg_class AS owners ON classes.oid = owners.reltoastrelid AND classes.relkind = 't'
    WHERE classes.relkind IN ('r', 'm', 't') AND classes.relpersistence <> 't'
),

chosen AS (
    SELECT
        tables.oid,
        tables.relkind,
        tables.rows_estimated,
        options.*
    FROM tables
    CROSS JOIN LATERAL (
        SELECT
            max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
            max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS dead_base,
            max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS dead_scale,
            max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold') AS dead_cap,
            max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_insert_threshold') AS insert_base,
            max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_insert_scale_factor') AS insert_scale,
            max(option_value) FILTER (WHERE option_name = 'autovacuum_analyze_threshold') AS analyze_base,
            max(option_value) FILTER (WHERE option_name = 'autovacuum_analyze_scale_factor') AS analyze_scale
        FROM pg_options_to_table(tables.options)
    ) AS options
),

figures AS (
    SELECT
        chosen.oid,
        chosen.relkind,
        chosen.rows_estimated,
        coalesce(chosen.enabled::bool, true) AS enabled,
        coalesce(chosen.dead_base, current_setting('autovacuum_vacuum_threshold'))::float8 AS dead_base,
        coalesce(chosen.dead_scale, current_setting('autovacuum_vacuum_scale_factor'))::float8 AS dead_scale,
        coalesce(chosen.dead_cap, current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8 AS dead_cap,
        coalesce(chosen.insert_base, current_setting('autovacuum_vacuum_insert_threshold'))::float8 AS insert_base,
        coalesce(chosen.insert_scale, current_setting('autovacuum_vacuum_insert_scale_factor'))::float8 AS insert_scale,
        coalesce(chosen.analyze_base, current_setting('autovacuum_analyze_threshold'))::float8 AS analyze_base,
        coalesce(chosen.analyze_scale, current_setting('autovacuum_analyze_scale_factor'))::float8 AS analyze_scale
    FROM chosen
),

thresholds AS (
    SELECT
        oid,
        enabled,
        least(dead_base + dead_scale * rows_estimated, CASE WHEN dead_cap >= 0 THEN dead_cap ELSE 'infinity' END)
            AS dead_threshold,
        CASE WHEN insert_base >= 0 THEN insert_base + insert_scale * rows_estimated ELSE 'infinity' END
            AS insert_threshold,
        CASE
            WHEN relkind <> 't' AND oid <> 'pg_statistic'::regclass THEN analyze_base + analyze_scale * rows_estimated
            ELSE 'infinity'
        END AS analyze_threshold
    FROM figures
),

needs AS (
    SELECT DISTINCT ON (thresholds.oid, works.work)
        thresholds.oid,
        thresholds.enabled,
        works.work,
        works.done_at,
        concat(works.figure, ' ', works.what, ', threshold ', round(works.threshold)) AS reason,
        coalesce(
            CASE WHEN works.figure >= %(multiple)s::float8 * works.threshold THEN works.done_at END,
            CASE
                WHEN
                    works.figure - stats.n_mod_since_analyze > works.threshold
                    AND times.analyzed_at > coalesce(works.done_at, '-infinity')
                    THEN times.analyzed_at
            END
        ) AS neglected_since
    FROM thresholds
    INNER JOIN pg_stat_all_tables AS stats ON thresholds.oid = stats.relid
    CROSS JOIN
        LATERAL (
            SELECT
                greatest(stats.last_vacuum, stats.last_autovacuum) AS vacuumed_at,
                greatest(stats.last_analyze, stats.last_autoanalyze) AS analyzed_at
        ) AS times
    CROSS JOIN
        LATERAL (
            VALUES
            ('vacuum', 'dead rows', stats.n_dead_tup, thresholds.dead_threshold, times.vacuumed_at),
            ('vacuum', 'inserted rows', stats.n_ins_since_vacuum, thresholds.insert_threshold, times.vacuumed_at),
            ('analyze', 'changed rows', stats.n_mod_since_analyze, thresholds.analyze_threshold, times.analyzed_at)
        ) AS works (work, what, figure, threshold, done_at)
    WHERE
        works.figure > works.threshold
        AND NOT EXISTS (
            SELECT FROM pg_stat_progress_vacuum AS vacuums
            WHERE vacuums.datname = current_database() AND vacuums.relid = thresholds.oid
        )
        AND NOT EXISTS (
            SELECT FROM pg_stat_progress_analyze AS analyzes
            WHERE analyzes.datname = current_database() AND analyzes.relid = thresholds.oid
        )
    ORDER BY thresholds.oid, works.work, neglected_since, works.figure / greatest(works.threshold, 1) DESC
)

SELECT
    oid::regclass::text AS table_name,
    enabled,
    work,
    reason,
    extract(EPOCH FROM clock_timestamp() - done_at)::float8 / 3600 AS hours,
    extract(EPOCH FROM clock_timestamp() - neglected_since)::float8 / 3600 AS neglected_hours,
    count(*) OVER () AS total
FROM needs
ORDER BY neglected_since ASC NULLS LAST, done_at ASC NULLS FIRST
LIMIT 20

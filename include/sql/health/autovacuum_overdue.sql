-- A row is a table (TOAST and catalogs too) that is past a threshold of autovacuum now, its storage options honoured:
-- what it needs and why, and the hours since it last had it (empty: never since the counters began).
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
        relkind,
        enabled,
        least(dead_base + dead_scale * rows_estimated, CASE WHEN dead_cap >= 0 THEN dead_cap ELSE 'infinity' END)
            AS dead_threshold,
        CASE WHEN insert_base >= 0 THEN insert_base + insert_scale * rows_estimated ELSE 'infinity' END
            AS insert_threshold,
        analyze_base + analyze_scale * rows_estimated AS analyze_threshold
    FROM figures
),

needs AS (
    SELECT
        thresholds.*,
        stats.n_dead_tup,
        stats.n_ins_since_vacuum,
        stats.n_mod_since_analyze,
        greatest(stats.last_vacuum, stats.last_autovacuum) AS vacuumed_at,
        greatest(stats.last_analyze, stats.last_autoanalyze) AS analyzed_at,
        stats.n_dead_tup > dead_threshold OR stats.n_ins_since_vacuum > insert_threshold AS needs_vacuum,
        stats.n_mod_since_analyze > analyze_threshold
        AND thresholds.relkind <> 't' AND stats.relid <> 'pg_statistic'::regclass AS needs_analyze
    FROM thresholds
    INNER JOIN pg_stat_all_tables AS stats ON thresholds.oid = stats.relid
)

SELECT
    oid::regclass::text AS table_name,
    enabled,
    needs_vacuum,
    needs_analyze,
    CASE
        WHEN n_dead_tup > dead_threshold THEN concat(n_dead_tup, ' dead rows, threshold ', round(dead_threshold))
        ELSE concat(n_ins_since_vacuum, ' inserted rows, threshold ', round(insert_threshold))
    END AS vacuum_reason,
    concat(n_mod_since_analyze, ' changed rows, threshold ', round(analyze_threshold)) AS analyze_reason,
    extract(EPOCH FROM clock_timestamp() - vacuumed_at)::float8 / 3600 AS hours_since_vacuum,
    extract(EPOCH FROM clock_timestamp() - analyzed_at)::float8 / 3600 AS hours_since_analyze
FROM needs
WHERE needs_vacuum OR needs_analyze
ORDER BY least(vacuumed_at, analyzed_at) NULLS FIRST

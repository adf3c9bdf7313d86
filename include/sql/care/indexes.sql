-- A row is a valid B-tree index of at least %(minimum_bytes)s bytes that may be rebuilt without locks: its size, how
-- large it would be if it were new, by the statistics of its columns (empty where a column has none): once as if every
-- entry stood for itself, once as if equal keys were kept together, which is the least that it can be.
-- A role sees the statistics only of columns that it may read; an estimate on such figures is none.
WITH large AS MATERIALIZED (
    SELECT
        indexes.oid,
        indexes.relname AS index_name,
        index_spaces.nspname AS index_schema,
        indexes.reltuples,
        indexes.reloptions,
        entries.indrelid,
        entries.indisunique,
        entries.indnatts,
        entries.indnkeyatts,
        entries.indkey,
        tables.relname AS table_name,
        tables.relkind = 't' AS is_toast,
        table_spaces.nspname AS table_schema,
        tables.relowner,
        sizes.bytes
    FROM pg_index AS entries
    INNER JOIN pg_class AS indexes ON entries.indexrelid = indexes.oid
    INNER JOIN pg_namespace AS index_spaces ON indexes.relnamespace = index_spaces.oid
    INNER JOIN pg_class AS tables ON entries.indrelid = tables.oid
    INNER JOIN pg_namespace AS table_spaces ON tables.relnamespace = table_spaces.oid
    INNER JOIN pg_am AS methods ON indexes.relam = methods.oid
    -- Of the last VACUUM or ANALYZE; the exact size would wait for whoever has the index locked.
    CROSS JOIN
        LATERAL (
            SELECT indexes.relpages::bigint * current_setting('block_size')::bigint AS bytes
        ) AS sizes
    WHERE
        indexes.relkind = 'i' AND indexes.relpersistence <> 't' AND methods.amname = 'btree'
        AND entries.indisvalid AND entries.indisready AND NOT entries.indisexclusion
        AND table_spaces.nspname NOT IN ('pg_catalog', 'information_schema')
        -- What belongs to a catalog is TOAST of a catalog, and cannot be rebuilt without locks either.
        AND NOT (tables.relkind = 't' AND substring(tables.relname FROM '[0-9]+')::oid < 16384)
        AND sizes.bytes >= %(minimum_bytes)s
),

widths AS (
    SELECT
        large.oid,
        count(*) AS columns_known,
        sum(columns.avg_width * (1 - columns.null_frac)) AS width,
        bool_or(columns.null_frac > 0) AS has_nulls,
        -- As if the columns had nothing to do with each other, which is the most that there can be.
        exp(
            sum(
                ln(
                    greatest(
                        CASE
                            WHEN columns.n_distinct < 0 THEN -columns.n_distinct * large.reltuples
                            ELSE columns.n_distinct
                        END, 1
                    )
                )
            )
        ) AS keys_estimated
    FROM large
    INNER JOIN pg_attribute AS attributes ON large.oid = attributes.attrelid
    INNER JOIN pg_stats AS columns
        ON
            CASE WHEN large.indkey[attributes.attnum - 1] = 0 THEN large.index_schema ELSE large.table_schema END
            = columns.schemaname
            AND CASE WHEN large.indkey[attributes.attnum - 1] = 0 THEN large.index_name ELSE large.table_name END
            = columns.tablename
            AND CASE
                WHEN large.indkey[attributes.attnum - 1] = 0 THEN attributes.attname
                ELSE (
                    SELECT sources.attname FROM pg_attribute AS sources
                    WHERE sources.attrelid = large.indrelid AND sources.attnum = large.indkey[attributes.attnum - 1]
                )
            END = columns.attname
            AND NOT columns.inherited
    GROUP BY large.oid
),

sized AS (
    SELECT
        large.*,
        coalesce(
            (
                SELECT options.option_value::float8 FROM pg_options_to_table(large.reloptions) AS options
                WHERE options.option_name = 'fillfactor'
            ), 90
        ) AS fillfactor,
        -- Line pointer 4, tuple header 8 (16 with nulls), both parts aligned to 8. TOAST: two integers.
        CASE
            WHEN large.is_toast THEN 20
            WHEN widths.columns_known = large.indnatts
                THEN 4 + CASE WHEN widths.has_nulls THEN 16 ELSE 8 END + 8 * ceil(widths.width / 8)
        END AS entry_bytes,
        CASE
            WHEN NOT large.indisunique AND NOT large.is_toast AND large.indnkeyatts = large.indnatts
                THEN least(widths.keys_estimated, greatest(large.reltuples, 0))
        END AS keys_estimated
    FROM large
    LEFT JOIN widths ON large.oid = widths.oid
),

roomy AS (
    SELECT
        *,
        (current_setting('block_size')::float8 - 40) * fillfactor / 100 AS room
    FROM sized
)

SELECT
    oid::bigint AS oid,
    index_schema,
    index_name,
    indrelid::bigint AS table_oid,
    table_schema,
    table_name,
    bytes,
    current_setting('block_size')::bigint
    * (2 + ceil(greatest(reltuples, 0) * entry_bytes / room))::bigint AS expected_bytes,
    current_setting('block_size')::bigint * (
        2 + ceil(
            least(
                greatest(reltuples, 0) * entry_bytes,
                coalesce(keys_estimated, greatest(reltuples, 0)) * entry_bytes + greatest(reltuples, 0) * 6
            ) / room
        )
    )::bigint AS least_bytes,
    pg_get_userbyid(relowner) AS owner,
    fillfactor,
    -- The owner's right: who could only rebuild (pg_maintain) could not drop what a failed rebuild leaves.
    pg_has_role(relowner, 'USAGE') AS may
FROM roomy
ORDER BY bytes DESC

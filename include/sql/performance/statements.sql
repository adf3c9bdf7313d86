-- A row is a statement of this database with its cumulative counters: the most expensive, and who writes most to
-- temporary files. `since` is when its counters began, from PostgreSQL 17's version of the extension on.
WITH own AS (
    SELECT *
    FROM pg_stat_statements
    WHERE
        dbid = (
            SELECT databases.oid FROM pg_database AS databases
            WHERE databases.datname = current_database()
        )
        AND queryid IS NOT NULL
),

ranked AS (
    SELECT
        own.*,
        row_number() OVER (ORDER BY own.total_exec_time DESC) AS by_time,
        row_number() OVER (ORDER BY own.temp_blks_written DESC) AS by_temp,
        count(*) OVER () AS recorded
    FROM own
)

SELECT
    concat_ws(':', ranked.queryid, ranked.userid, CASE WHEN ranked.toplevel THEN 't' ELSE 'f' END) AS statement,
    pg_get_userbyid(ranked.userid) AS role,
    left(ranked.query, 400) AS text,
    ranked.calls,
    ranked.total_exec_time AS milliseconds,
    ranked.temp_blks_written * current_setting('block_size')::float8 AS temp_bytes,
    (to_jsonb(ranked) ->> 'stats_since')::timestamptz AS since,
    ranked.by_time,
    ranked.recorded
FROM ranked
WHERE ranked.by_time <= %(most)s OR (ranked.by_temp <= 50 AND ranked.temp_blks_written > 0)
ORDER BY ranked.by_time

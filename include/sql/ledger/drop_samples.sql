-- one row: how many samples of a system, taken before %(before)s, are dropped, and their size in bytes
WITH dropped AS (
    DELETE FROM maintenance.samples
    WHERE samples.system = %(system)s AND samples.taken_at < %(before)s
    RETURNING pg_column_size(samples.facts) AS bytes
)

SELECT
    count(*) AS samples,
    coalesce(sum(dropped.bytes), 0)::bigint AS bytes
FROM dropped;

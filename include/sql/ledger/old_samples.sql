-- one row: how many samples of a system were taken before %(before)s, and their size in bytes
SELECT
    count(*) AS samples,
    coalesce(sum(pg_column_size(samples.facts)), 0)::bigint AS bytes
FROM maintenance.samples
WHERE samples.system = %(system)s AND samples.taken_at < %(before)s;

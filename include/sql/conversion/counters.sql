-- one row: how often the table %(oid)s was read and written, by the server's statistics
SELECT
    (coalesce(stat.seq_scan, 0) + coalesce(stat.idx_scan, 0))::bigint AS reads,
    (stat.n_tup_ins + stat.n_tup_upd + stat.n_tup_del)::bigint AS writes
FROM pg_stat_all_tables AS stat
WHERE stat.relid = %(oid)s

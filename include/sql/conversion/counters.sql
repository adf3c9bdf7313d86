-- one row: how often the table %(oid)s was read, by the server's statistics, and the next transaction's number
SELECT
    coalesce((
        SELECT coalesce(stat.seq_scan, 0) + coalesce(stat.idx_scan, 0)
        FROM pg_stat_all_tables AS stat
        WHERE stat.relid = %(oid)s
    ), 0)::bigint AS reads,
    pg_snapshot_xmax(pg_current_snapshot())::text AS next_xid

-- One row: whether the session that holds the snapshot is still in its transaction.
SELECT EXISTS(
    SELECT 1
    FROM pg_catalog.pg_locks
    WHERE pid = %(pid)s AND locktype = 'virtualxid' AND granted
) AS holding

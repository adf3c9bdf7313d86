-- one row: how the transaction %(xid)s ended: committed, aborted, in progress; NULL when that is long forgotten
SELECT pg_xact_status(%(xid)s::xid8) AS status

-- A row is a session of this database whose snapshot does not see the transaction %(xid)s.
SELECT concat_ws(' ', 'pid', act.pid, 'of', act.usename, nullif('(' || act.application_name || ')', '()')) AS holder
FROM pg_stat_activity AS act
WHERE
    act.pid <> pg_backend_pid()
    AND act.datname = current_database()
    AND act.backend_xmin IS NOT NULL
    AND act.backend_type = 'client backend'
    AND age(act.backend_xmin) >= age(%(xid)s::xid8::xid)
ORDER BY act.xact_start
LIMIT 5

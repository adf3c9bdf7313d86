-- one row: a session in a database that was told to end
SELECT pg_catalog.pg_terminate_backend(session.pid) AS told
FROM pg_catalog.pg_stat_activity AS session
WHERE
    session.datname = %(name)s::name
    AND session.pid <> pg_catalog.pg_backend_pid()
    AND session.backend_type = 'client backend';

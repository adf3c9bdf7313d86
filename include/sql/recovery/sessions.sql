-- one row: a session in a database
SELECT
    session.pid,
    coalesce(session.usename, '') AS role,
    coalesce(session.application_name, '') AS application,
    coalesce(session.state, '') AS state
FROM pg_catalog.pg_stat_activity AS session
WHERE session.datname = %(name)s::name AND session.pid <> pg_catalog.pg_backend_pid()
ORDER BY session.pid;

-- a role, its attributes, and until when its password is valid (NULL: for ever); PostgreSQL's own are left out
SELECT
    rolname AS name,
    rolcanlogin AS login,
    rolsuper AS superuser,
    rolcreaterole AS createrole,
    rolcreatedb AS createdb,
    rolreplication AS replication,
    rolbypassrls AS bypassrls,
    CASE WHEN isfinite(rolvaliduntil) THEN rolvaliduntil END AS valid_until
FROM pg_roles
WHERE rolname !~ '^pg_'
ORDER BY rolname;

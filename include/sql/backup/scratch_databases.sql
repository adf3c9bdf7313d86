-- A row is a database beyond the three that every server has, with its comment and the sessions in it.
SELECT
    d.datname AS name,
    coalesce(shobj_description(d.oid, 'pg_database'), '') AS comment,
    (
        SELECT count(*)
        FROM pg_stat_activity AS a
        WHERE a.datid = d.oid
    ) AS sessions
FROM pg_database AS d
WHERE d.datname NOT IN ('postgres', 'template0', 'template1')
ORDER BY d.datname

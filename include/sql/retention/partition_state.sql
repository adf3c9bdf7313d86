-- one row: how the relation %(oid)s is called, whether it is attached, or waits for its detachment to be finished;
-- none: it was dropped
SELECT
    space.nspname::text AS schema,
    class.relname::text AS name,
    class.relispartition AS attached,
    coalesce(bool_or(inh.inhdetachpending), false) AS pending
FROM pg_class AS class
INNER JOIN pg_namespace AS space ON space.oid = class.relnamespace
LEFT JOIN pg_inherits AS inh ON inh.inhrelid = class.oid
WHERE class.oid = %(oid)s
GROUP BY class.oid, space.nspname, class.relname, class.relispartition

-- one row: whether the relation %(oid)s is attached, or waits for its detachment to be finished; none: it was dropped
SELECT
    class.relispartition AS attached,
    coalesce(bool_or(inh.inhdetachpending), false) AS pending
FROM pg_class AS class
LEFT JOIN pg_inherits AS inh ON inh.inhrelid = class.oid
WHERE class.oid = %(oid)s
GROUP BY class.oid, class.relispartition

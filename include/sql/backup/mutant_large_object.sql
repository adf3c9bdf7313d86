-- No row when there is no large object; otherwise one, and the first large object is gone.
SELECT
    first.oid,
    pg_catalog.lo_unlink(first.oid) AS removed
FROM (
    SELECT oid
    FROM pg_catalog.pg_largeobject_metadata
    ORDER BY oid
    LIMIT 1
) AS first

-- One row: whether this role may read the table of all large objects' pages.
SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT') AS readable

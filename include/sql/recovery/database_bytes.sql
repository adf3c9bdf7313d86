-- one row: the size of a database on disk, and where the server keeps its data
SELECT
    pg_catalog.pg_database_size(%(name)s::name) AS bytes,
    pg_catalog.current_setting('data_directory') AS data_directory;

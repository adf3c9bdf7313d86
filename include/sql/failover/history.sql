-- one row: the history of the timeline that the server writes; needs pg_read_server_files or a superuser
SELECT pg_read_file('pg_wal/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.history') AS history;

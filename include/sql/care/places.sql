-- A row is a folder in which the server writes: data, WAL, tablespaces. Needs pg_read_all_settings (pg_monitor has it).
SELECT current_setting('data_directory') AS folder
UNION
SELECT concat(current_setting('data_directory'), '/pg_wal')
UNION
SELECT pg_tablespace_location(oid)
FROM pg_tablespace
WHERE pg_tablespace_location(oid) <> ''

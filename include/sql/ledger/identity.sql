-- one row: which database of which cluster this is, whatever the address that led here
SELECT
    control.system_identifier::text AS cluster,
    db.datname AS database_name
FROM pg_control_system() AS control, pg_database AS db
WHERE db.datname = current_database();

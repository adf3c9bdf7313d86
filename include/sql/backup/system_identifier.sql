-- One row: the number that tells this cluster from every other.
SELECT system_identifier::text AS system_identifier
FROM pg_catalog.pg_control_system()

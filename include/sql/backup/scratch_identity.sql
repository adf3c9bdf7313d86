-- One row: which server this is, its version, and whether it is a standby.
SELECT
    system_identifier::text AS system_identifier,
    current_setting('server_version_num')::int AS version_num,
    pg_is_in_recovery() AS in_recovery
FROM pg_control_system()

-- one row: what our role may do on this server, and what would keep a write waiting
SELECT
    has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE') AS may_promote,
    has_function_privilege('pg_read_file(text)', 'EXECUTE') AS may_read_history,
    has_function_privilege('pg_logical_emit_message(boolean, text, text, boolean)', 'EXECUTE') AS may_write,
    (
        SELECT rolcreatedb OR rolsuper
        FROM pg_roles
        WHERE rolname = current_user
    ) AS may_create,
    pg_has_role('pg_monitor', 'USAGE') OR current_setting('is_superuser') = 'on' AS may_monitor,
    current_setting('synchronous_standby_names') AS waits_for;

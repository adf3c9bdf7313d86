-- A row is the server: its version, who runs it, what its session may do about settings, when it read its files.
SELECT
    current_user::text AS login,
    current_setting('server_version_num')::int AS version_num,
    pg_is_in_recovery() AS in_recovery,
    pg_postmaster_start_time() AS started_at,
    pg_conf_load_time() AS loaded_at,
    coalesce(current_setting('allow_alter_system', true), 'on') = 'on' AS allows_alter_system,
    (
        coalesce(to_regrole('rds_superuser')::text, '') <> ''
        OR coalesce(current_setting('rds.superuser_reserved_connections', true), '') <> ''
    ) AS is_rds,
    -- Patroni starts the server with its scope, and with what all members must share, on the command line.
    (
        SELECT count(*) > 0
        FROM pg_settings AS named
        WHERE named.name = 'cluster_name' AND named.setting <> '' AND named.source = 'command line'
    ) AS is_patroni,
    has_function_privilege('pg_reload_conf()', 'EXECUTE') AS may_reload,
    has_table_privilege('pg_file_settings', 'SELECT') AS may_select_files,
    has_function_privilege('pg_show_all_file_settings()', 'EXECUTE') AS may_show_files

-- A row is a setting as this session finds it running.
SELECT
    settings.name,
    settings.setting,
    settings.unit,
    settings.vartype,
    settings.context,
    settings.enumvals,
    settings.min_val,
    settings.max_val,
    settings.source,
    settings.boot_val,
    settings.pending_restart,
    has_parameter_privilege(settings.name, 'ALTER SYSTEM') AS may_alter
FROM pg_settings AS settings
ORDER BY settings.name

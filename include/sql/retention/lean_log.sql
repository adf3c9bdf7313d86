-- one row, or none: whole pages in our part of the log are compressed from now on, where we may say so and it costs
-- next to nothing: GRANT SET ON PARAMETER wal_compression
SELECT set_config(conf.name, 'lz4', false) AS compressed
FROM pg_settings AS conf
WHERE
    conf.name = 'wal_compression'
    AND conf.setting = 'off'
    AND 'lz4' = any(conf.enumvals)
    AND has_parameter_privilege(conf.name, 'SET')

-- a setting that decides how people come in
SELECT
    name,
    setting
FROM pg_settings
WHERE
    name IN (
        'ssl', 'password_encryption', 'ssl_min_protocol_version', 'listen_addresses', 'log_connections',
        'row_security', 'krb_caseins_users'
    )
ORDER BY name;

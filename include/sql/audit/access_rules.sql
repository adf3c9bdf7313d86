-- a rule of pg_hba.conf as the file has it now, or a line that is broken
SELECT
    line_number,
    coalesce(type, '') AS type,
    array_to_string(database, ',') AS database,
    array_to_string(user_name, ',') AS user_name,
    address,
    netmask,
    coalesce(options, '{}') AS options,
    coalesce(auth_method, '') AS auth_method,
    error
FROM pg_hba_file_rules
ORDER BY line_number;

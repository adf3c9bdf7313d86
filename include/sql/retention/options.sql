-- A row is a storage parameter of the relation %(oid)s, such as fillfactor.
SELECT
    opt.option_name AS name,
    opt.option_value AS value
FROM pg_class AS class
CROSS JOIN LATERAL pg_options_to_table(class.reloptions) AS opt
WHERE class.oid = %(oid)s
ORDER BY opt.option_name

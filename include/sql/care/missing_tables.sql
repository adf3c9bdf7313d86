-- a row: a name of the settings that is no table of this database which can be vacuumed or analyzed
SELECT names.name
FROM unnest(%(names)s::text[]) AS names (name)
LEFT JOIN pg_class AS tables ON tables.oid = to_regclass(names.name) AND tables.relkind IN ('r', 'm', 'p')
WHERE tables.oid IS NULL
ORDER BY names.name

-- a row: a name of the settings that is no table of this database
SELECT names.name
FROM unnest(%(names)s::text[]) AS names (name)
WHERE to_regclass(names.name) IS NULL

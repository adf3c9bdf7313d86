-- A row says whether the server was told to read its configuration files again.
SELECT pg_reload_conf() AS told

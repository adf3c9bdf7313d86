-- one row: whether the connected database keeps the jobs of pg_cron
SELECT pg_catalog.to_regclass('cron.job') IS NOT NULL AS has_cron;

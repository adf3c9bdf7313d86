-- one row: a job of pg_cron that runs in a database of this name
SELECT coalesce(job.jobname, job.jobid::text) AS name
FROM cron.job AS job
WHERE job.database = %(name)s
ORDER BY name;

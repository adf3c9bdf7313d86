-- one row: for how many ms we wait for a lock until our transaction ends, %(held_ms)s after we began to keep others
-- waiting: whoever waits for us looks for a deadlock after deadlock_timeout, and would be the one who is ended
SELECT
    set_config(
        'lock_timeout',
        greatest(10, least(limits.lock_timeout, 0.8 * limits.deadlock_timeout - %(held_ms)s::int))::int::text,
        true
    ) AS lock_timeout
FROM (
    SELECT
        max(conf.setting::int) FILTER (WHERE conf.name = 'lock_timeout') AS lock_timeout,
        max(conf.setting::int) FILTER (WHERE conf.name = 'deadlock_timeout') AS deadlock_timeout
    FROM pg_settings AS conf
    WHERE conf.name IN ('lock_timeout', 'deadlock_timeout')
) AS limits

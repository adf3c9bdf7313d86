-- one row: the number of our transaction, and how many sessions it blocks now
SELECT
    pg_current_xact_id()::text AS xid,
    (
        SELECT count(*)
        FROM pg_stat_activity AS act
        WHERE
            CASE
                WHEN act.wait_event_type = 'Lock'
                    THEN pg_backend_pid() = any(pg_blocking_pids(act.pid))
                ELSE false
            END
    )::int AS waiters

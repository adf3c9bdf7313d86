-- one row: whether the server is a standby, and whether this session holds the job's lock now (never on a standby)
SELECT
    state.in_recovery,
    CASE
        WHEN NOT state.in_recovery
            THEN pg_try_advisory_lock(hashtextextended(%(job)s, 0))
        ELSE false
    END AS claimed
FROM (SELECT pg_is_in_recovery() AS in_recovery) AS state

-- One row: client connections now, how many of them idle, and how many ordinary roles may have.
SELECT
    count(*) FILTER (WHERE backend_type = 'client backend') AS used,
    count(*) FILTER (WHERE backend_type = 'client backend' AND state = 'idle') AS idle,
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int AS usable  -- from 16 on
FROM pg_stat_activity

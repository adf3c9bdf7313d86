-- one row: whether the statement of a session of ours was cancelled
SELECT pg_cancel_backend(%(pid)s) AS cancelled

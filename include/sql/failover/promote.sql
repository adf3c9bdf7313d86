-- one row: whether the standby was a primary within so many seconds
SELECT pg_promote(true, %(seconds)s) AS promoted;

-- A row is a statement of this database by what it took in all: the composed text names the extension's view.
SELECT
    counted.queryid::text AS key,
    left(regexp_replace(min(counted.query), '\s+', ' ', 'g'), 200) AS text,
    sum(counted.calls)::float8 AS calls,
    sum(counted.total_exec_time)::float8 AS total_ms,
    -- Sums of squares, so that rows of several users become one and two samples can be subtracted.
    sum(counted.calls * (counted.stddev_exec_time ^ 2 + counted.mean_exec_time ^ 2))::float8 AS squares
FROM pg_stat_statements AS counted
INNER JOIN pg_database AS databases ON counted.dbid = databases.oid
WHERE
    databases.datname = current_database()
    AND counted.queryid IS NOT NULL
    -- Of these the constants are left out; the text of CREATE ROLE would bring a password along.
    AND counted.query ~* '^(\s|/\*[^*]*\*/|--[^\n]*\n)*(select|insert|update|delete|merge|with|values)\M'
    AND counted.query !~* 'password'
GROUP BY counted.queryid
ORDER BY total_ms DESC
LIMIT 200

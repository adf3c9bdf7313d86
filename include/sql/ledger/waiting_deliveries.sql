-- a row: how many messages these channels still have to carry
SELECT count(*) AS waiting
FROM maintenance.deliveries
WHERE
    channel = any(%(channels)s::text[])
    AND sent_at IS NULL
    AND created_at > %(now)s - interval '7 days';

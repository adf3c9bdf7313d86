-- no rows: a message waits for its channels
WITH alert AS (
    INSERT INTO maintenance.alerts (id, created_at, message)
    VALUES (%(id)s, %(created_at)s, %(message)s)
    RETURNING id, created_at
)

INSERT INTO maintenance.deliveries (alert_id, channel, created_at)
SELECT alert.id, wanted.channel, alert.created_at
FROM alert, unnest(%(channels)s::text[]) AS wanted (channel);

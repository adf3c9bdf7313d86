-- a row: the message that a channel has to carry next; for two minutes it is ours alone (tried least often first)
UPDATE maintenance.deliveries AS mine
SET claimed_until = %(now)s + interval '2 minutes', tries = mine.tries + 1
FROM maintenance.alerts AS alert
WHERE
    (mine.alert_id, mine.channel) = (
        SELECT waiting.alert_id, waiting.channel
        FROM maintenance.deliveries AS waiting
        WHERE
            waiting.channel = %(channel)s
            AND waiting.sent_at IS NULL
            AND waiting.created_at > %(now)s - interval '7 days'
            AND (waiting.claimed_until IS NULL OR waiting.claimed_until <= %(now)s)
        ORDER BY waiting.tries, waiting.created_at, waiting.alert_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    AND alert.id = mine.alert_id
RETURNING mine.alert_id::text AS alert_id, mine.channel, alert.message;

-- no rows: how a delivery went; a failed one is free again a minute later
UPDATE maintenance.deliveries
SET
    sent_at = CASE WHEN %(error)s = '' THEN %(now)s END,
    claimed_until = CASE WHEN %(error)s = '' THEN NULL ELSE %(now)s + interval '1 minute' END,
    last_error = %(error)s
WHERE alert_id = %(alert_id)s AND channel = %(channel)s AND sent_at IS NULL;

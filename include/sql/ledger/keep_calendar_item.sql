-- no rows: an item of the calendar as it is now; a changed time is expected from now on
INSERT INTO maintenance.calendar (tier, item, cron, minutes, priority, owner)
VALUES (%(tier)s, %(item)s, %(cron)s, %(minutes)s, %(priority)s, %(owner)s)
ON CONFLICT (tier, item) DO UPDATE
    SET
        cron = excluded.cron,
        minutes = excluded.minutes,
        priority = excluded.priority,
        owner = excluded.owner,
        since = CASE WHEN calendar.cron = excluded.cron THEN calendar.since ELSE excluded.since END;

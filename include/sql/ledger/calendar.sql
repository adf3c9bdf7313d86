-- a row: an item of the calendar
SELECT tier, item, cron, minutes, priority, owner, since
FROM maintenance.calendar
ORDER BY tier, item;

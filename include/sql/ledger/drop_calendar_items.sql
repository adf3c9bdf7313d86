-- no rows: forgets the items that are no longer in the calendar
DELETE FROM maintenance.calendar
WHERE NOT (tier || '/' || item) = ANY(%(kept)s::text[]);

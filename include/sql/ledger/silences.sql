-- a row: a silence in force
SELECT
    holder,
    check_name,
    reason,
    ends_at
FROM maintenance.silences
WHERE ends_at > %(now)s
ORDER BY check_name, holder;

-- a row: one report
SELECT report
FROM maintenance.reports
WHERE id = %(id)s;

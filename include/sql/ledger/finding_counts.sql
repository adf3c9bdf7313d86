-- A row is a severity: how many of its findings are open, new, back, fixed at this moment, late, waived.
SELECT
    severity,
    count(*) FILTER (WHERE fixed_at IS NULL) AS open,
    count(*) FILTER (WHERE fixed_at IS NULL AND opened_at = %(at)s AND reopened = 0) AS new,
    count(*) FILTER (WHERE fixed_at IS NULL AND opened_at = %(at)s AND reopened > 0) AS back,
    count(*) FILTER (WHERE fixed_at = %(at)s) AS fixed,
    count(*) FILTER (
        WHERE fixed_at IS NULL AND due_at <= %(at)s AND NOT coalesce(waived_until > %(at)s, FALSE)
    ) AS late,
    count(*) FILTER (WHERE fixed_at IS NULL AND coalesce(waived_until > %(at)s, FALSE)) AS waived
FROM maintenance.findings
WHERE system = %(system)s AND (fixed_at IS NULL OR fixed_at = %(at)s)
GROUP BY severity;

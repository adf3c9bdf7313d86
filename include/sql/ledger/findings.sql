-- A row is a finding of one sort (%(sort)s: open, new, back, fixed, late, waived, expiring), the most urgent first, of
-- those behind %(priority)s, %(due_at)s, %(identity)s.
SELECT
    priority,
    facts,
    first_seen,
    last_seen,
    opened_at,
    reopened,
    due_at,
    waiver,
    waived_until,
    fixed_at
FROM maintenance.findings
WHERE
    system = %(system)s
    AND CASE %(sort)s
        WHEN 'fixed' THEN fixed_at = %(at)s
        WHEN 'new' THEN fixed_at IS NULL AND opened_at = %(at)s AND reopened = 0
        WHEN 'back' THEN fixed_at IS NULL AND opened_at = %(at)s AND reopened > 0
        WHEN 'late' THEN fixed_at IS NULL AND due_at <= %(at)s AND NOT coalesce(waived_until > %(at)s, FALSE)
        WHEN 'waived' THEN fixed_at IS NULL AND coalesce(waived_until > %(at)s, FALSE)
        WHEN 'expiring'
            THEN fixed_at IS NULL AND waived_until > %(at)s AND waived_until <= %(at)s::timestamptz + interval '14 days'
        ELSE fixed_at IS NULL
    END
    AND (priority, due_at, identity) > (%(priority)s, %(due_at)s, %(identity)s)
ORDER BY priority, due_at, identity
LIMIT %(most)s;

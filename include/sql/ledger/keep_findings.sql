-- no rows: what was seen at a moment is open; what was fixed before is open again, with its time to run anew
WITH seen AS (
    SELECT found.*
    FROM
        jsonb_to_recordset(%(findings)s) AS found (
            identity text,
            target text,
            severity text,
            priority integer,
            due_days double precision,
            waiver text,
            waived_until timestamptz,
            facts jsonb
        )
)

INSERT INTO maintenance.findings AS known (
    system, identity, target, severity, priority, facts, first_seen, last_seen, opened_at, due_at, waiver, waived_until
)
SELECT
    %(system)s,
    seen.identity,
    seen.target,
    seen.severity,
    seen.priority,
    seen.facts,
    %(at)s AS first_seen,
    %(at)s AS last_seen,
    %(at)s AS opened_at,
    %(at)s::timestamptz + seen.due_days * interval '1 day' AS due_at,
    seen.waiver,
    seen.waived_until
FROM seen
ON CONFLICT (system, identity) DO UPDATE
    SET
        -- Who says how bad it is may not have looked today: an UNKNOWN changes nothing of what is known.
        severity = CASE WHEN excluded.severity = 'UNKNOWN' THEN known.severity ELSE excluded.severity END,
        priority
        = CASE
            WHEN excluded.severity = 'UNKNOWN' THEN least(known.priority, excluded.priority)
            ELSE excluded.priority
        END,
        facts
        = CASE
            WHEN excluded.severity = 'UNKNOWN' AND known.severity <> 'UNKNOWN' THEN known.facts
            ELSE excluded.facts
        END,
        last_seen = excluded.last_seen,
        opened_at = CASE WHEN known.fixed_at IS NULL THEN known.opened_at ELSE excluded.opened_at END,
        reopened = known.reopened + (known.fixed_at IS NOT NULL)::integer,
        due_at
        = CASE WHEN known.fixed_at IS NULL THEN known.opened_at ELSE excluded.opened_at END
        + CASE
            WHEN excluded.severity = 'UNKNOWN' AND known.severity <> 'UNKNOWN' THEN known.due_at - known.opened_at
            ELSE excluded.due_at - excluded.opened_at
        END,
        waiver = excluded.waiver,
        waived_until = excluded.waived_until,
        fixed_at = NULL
    WHERE known.last_seen <= excluded.last_seen;

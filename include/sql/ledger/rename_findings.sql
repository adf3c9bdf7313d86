-- no rows: a finding that got another name since, as a vulnerability its CVE, goes on under its new identity
WITH renamed AS (
    SELECT DISTINCT ON (now_known.identity)
        now_known.identity,
        known.identity AS former
    FROM jsonb_to_recordset(%(findings)s) AS now_known (identity text, former jsonb)
    CROSS JOIN LATERAL jsonb_array_elements_text(now_known.former) AS names (former)
    INNER JOIN maintenance.findings AS known ON known.system = %(system)s AND known.identity = names.former
    WHERE
        NOT EXISTS (
            SELECT 1
            FROM maintenance.findings AS already
            WHERE already.system = %(system)s AND already.identity = now_known.identity
        )
    ORDER BY now_known.identity ASC, known.fixed_at ASC NULLS FIRST, known.first_seen ASC
),

copied AS (
    INSERT INTO maintenance.findings (
        system, identity, target, severity, priority, facts, first_seen, last_seen, opened_at, reopened, due_at, waiver,
        waived_until, fixed_at
    )
    SELECT
        known.system,
        renamed.identity,
        known.target,
        known.severity,
        known.priority,
        known.facts,
        known.first_seen,
        known.last_seen,
        known.opened_at,
        known.reopened,
        known.due_at,
        known.waiver,
        known.waived_until,
        known.fixed_at
    FROM renamed
    INNER JOIN maintenance.findings AS known ON known.system = %(system)s AND known.identity = renamed.former
),

moved AS (
    UPDATE maintenance.finding_sightings AS sighting
    SET identity = renamed.identity
    FROM renamed
    WHERE sighting.system = %(system)s AND sighting.identity = renamed.former
)

DELETE FROM maintenance.findings AS known
USING renamed
WHERE known.system = %(system)s AND known.identity = renamed.former;

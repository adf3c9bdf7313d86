-- no rows: an episode goes on, is told, ends or opens again
UPDATE maintenance.episodes
SET
    severity = %(severity)s,
    summary = %(summary)s,
    hint = %(hint)s,
    report_id = nullif(%(report_id)s, '')::uuid,
    seen_at = %(seen_at)s,
    ended_at = %(ended_at)s,
    told = %(told)s,
    told_severity = %(told_severity)s,
    told_at = %(told_at)s,
    suppressed = %(suppressed)s
WHERE id = %(id)s;

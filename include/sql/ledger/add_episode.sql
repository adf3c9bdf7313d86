-- no rows: a check turned red
INSERT INTO maintenance.episodes (
    item, check_name, severity, summary, hint, report_id,
    opened_at, seen_at, ended_at, told, told_severity, told_at, suppressed
)
VALUES (
    %(item)s, %(check_name)s, %(severity)s, %(summary)s, %(hint)s, nullif(%(report_id)s, '')::uuid,
    %(opened_at)s, %(seen_at)s, %(ended_at)s, %(told)s, %(told_severity)s, %(told_at)s, %(suppressed)s
);

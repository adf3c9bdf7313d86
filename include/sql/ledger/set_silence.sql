-- no rows: a holder holds the alerts of these checks back until a moment
INSERT INTO maintenance.silences (holder, check_name, reason, since, ends_at)
SELECT
    %(holder)s,
    silenced.check_name,
    %(reason)s,
    %(now)s,
    %(ends_at)s
FROM unnest(%(checks)s::text[]) AS silenced (check_name)
ON CONFLICT (holder, check_name) DO UPDATE SET reason = excluded.reason, ends_at = excluded.ends_at;

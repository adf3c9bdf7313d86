-- a row: the lease is ours; none when somebody who still lives holds it
INSERT INTO maintenance.leases (name, token, holder, since, expires_at)
VALUES (
    %(name)s, %(token)s, %(holder)s, clock_timestamp(), clock_timestamp() + %(ttl_seconds)s * interval '1 second'
)
ON CONFLICT (name) DO UPDATE
    SET token = excluded.token, holder = excluded.holder, since = excluded.since, expires_at = excluded.expires_at
    WHERE leases.expires_at <= clock_timestamp()
RETURNING name;

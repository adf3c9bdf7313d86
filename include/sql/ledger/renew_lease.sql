-- a row: the lease is still ours; none when it was lost
UPDATE maintenance.leases
SET expires_at = clock_timestamp() + %(ttl_seconds)s * interval '1 second'
WHERE name = %(name)s AND token = %(token)s
RETURNING name;

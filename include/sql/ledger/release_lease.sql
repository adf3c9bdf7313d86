-- no rows: gives a lease back, if it is still ours
DELETE FROM maintenance.leases
WHERE name = %(name)s AND token = %(token)s;

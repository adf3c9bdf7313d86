-- a row: who holds a lease, and since when
SELECT holder, since
FROM maintenance.leases
WHERE name = %(name)s;

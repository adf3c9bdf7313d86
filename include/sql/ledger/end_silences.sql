-- no rows: what a holder held back is told again
UPDATE maintenance.silences
SET ends_at = %(now)s
WHERE holder = %(holder)s AND ends_at > %(now)s;

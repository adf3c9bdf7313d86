-- one row: waits until nobody else decides on alerts; held until the transaction ends
SELECT pg_advisory_xact_lock(hashtextextended('tdev-maintenance alert decisions', 0));

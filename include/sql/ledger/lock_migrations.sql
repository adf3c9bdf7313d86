-- one row: waits until nobody else migrates this ledger; held until the transaction ends
SELECT pg_advisory_xact_lock(hashtextextended('tdev-maintenance ledger migrations', 0));

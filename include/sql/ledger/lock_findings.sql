-- no rows: one merge of findings at a time in each system
SELECT pg_advisory_xact_lock(hashtextextended('maintenance.findings ' || %(system)s, 0));

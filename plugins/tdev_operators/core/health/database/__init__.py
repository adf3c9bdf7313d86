"""PostgreSQL, looked at with pg_monitor and pg_read_all_data only."""

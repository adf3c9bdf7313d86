"""Thursday: VACUUM and ANALYZE by need, REINDEX where measured, advice on indexes (guide: Database Optimization)."""

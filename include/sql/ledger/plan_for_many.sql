-- no rows: what was just written has no statistics yet: many rows are joined by hashes, and not one by one
SELECT set_config('enable_nestloop', 'off', TRUE);

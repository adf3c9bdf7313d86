-- no rows: a run of a tier was carried to its end
INSERT INTO maintenance.heartbeats (dag_id, run_id, tier, beat_at)
VALUES (%(dag_id)s, %(run_id)s, %(tier)s, %(now)s)
ON CONFLICT (dag_id, run_id) DO UPDATE SET beat_at = greatest(heartbeats.beat_at, excluded.beat_at);

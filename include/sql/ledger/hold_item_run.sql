-- one row: the id of this item in this run, locked until the transaction ends
INSERT INTO maintenance.item_runs (tier, dag_id, run_id, item)
VALUES (%(tier)s, %(dag_id)s, %(run_id)s, %(item)s)
ON CONFLICT (dag_id, run_id, item) DO UPDATE SET tier = excluded.tier
RETURNING id;

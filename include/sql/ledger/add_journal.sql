-- no rows: a destructive step is about to be taken
INSERT INTO maintenance.journal (item_run_id, event, facts)
VALUES (%(item_run_id)s, %(event)s, %(facts)s);

-- no rows: keeps a sample; the same moment again changes nothing
INSERT INTO maintenance.samples (system, kind, taken_at, facts)
VALUES (%(system)s, %(kind)s, %(taken_at)s, %(facts)s)
ON CONFLICT DO NOTHING;

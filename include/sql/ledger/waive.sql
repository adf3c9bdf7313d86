-- no rows: who answers for findings by now, also for those that nobody has seen today
UPDATE maintenance.findings AS known
SET
    waiver = answered.waiver,
    waived_until = answered.waived_until
FROM jsonb_to_recordset(%(findings)s) AS answered (identity text, waiver text, waived_until timestamptz)
WHERE known.system = %(system)s AND known.identity = answered.identity;

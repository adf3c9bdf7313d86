-- one row: whether any scan of a system has ever come to this ledger
SELECT
    EXISTS (
        SELECT 1
        FROM maintenance.finding_looks
        WHERE system = %(system)s
    )
    OR EXISTS (
        SELECT 1
        FROM maintenance.findings
        WHERE system = %(system)s
    ) AS has_looked;

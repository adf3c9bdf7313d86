-- no rows: what the backups bucket held when somebody last looked

-- one row: a back-up set; the bucket is the truth, this is its index
CREATE TABLE maintenance.backup_sets (
    system text NOT NULL,
    set_id text NOT NULL,
    sequence integer NOT NULL,
    state text NOT NULL CHECK (state IN ('STAGED', 'COMPLETE', 'READABLE', 'PROVEN')),
    recovery_point timestamptz NOT NULL,
    facts jsonb NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (system, set_id)
);

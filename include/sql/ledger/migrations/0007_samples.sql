-- no rows: what maintenance measured, to be compared with later

-- one row: one look of one kind at one system
CREATE TABLE maintenance.samples (
    system text NOT NULL,
    kind text NOT NULL,
    taken_at timestamptz NOT NULL,
    facts jsonb NOT NULL,
    PRIMARY KEY (system, kind, taken_at)
);

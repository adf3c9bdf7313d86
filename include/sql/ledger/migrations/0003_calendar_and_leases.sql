-- no rows: what is expected when, who was alive when, and who holds what

-- one row: an item of the maintenance calendar; since is when it was first expected
CREATE TABLE maintenance.calendar (
    tier text NOT NULL,
    item text NOT NULL,
    cron text NOT NULL,
    minutes integer NOT NULL CHECK (minutes > 0),
    priority text NOT NULL,
    owner text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tier, item)
);

-- one row: a run of a tier that was carried to its end
CREATE TABLE maintenance.heartbeats (
    dag_id text NOT NULL,
    run_id text NOT NULL,
    tier text NOT NULL,
    beat_at timestamptz NOT NULL,
    PRIMARY KEY (dag_id, run_id)
);
CREATE INDEX ON maintenance.heartbeats (tier, beat_at DESC);

-- one row: something that one worker alone may do now; expires_at moves on while it lives
CREATE TABLE maintenance.leases (
    name text PRIMARY KEY,
    token uuid NOT NULL,
    holder text NOT NULL,
    since timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

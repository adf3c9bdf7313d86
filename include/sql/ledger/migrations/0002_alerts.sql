-- no rows: who is told what, and who was

-- one row: a stretch of time in which one check of one item was red; told is what people were told last
CREATE TABLE maintenance.episodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item text NOT NULL,
    check_name text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('UNKNOWN', 'CRITICAL')),
    summary text NOT NULL,
    hint text NOT NULL,
    report_id uuid,
    opened_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    ended_at timestamptz,
    told text NOT NULL CHECK (told IN ('nothing', 'open', 'ended')),
    told_severity text CHECK (told_severity IN ('UNKNOWN', 'CRITICAL')),
    told_at timestamptz,
    suppressed integer NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX one_open_episode ON maintenance.episodes (item, check_name) WHERE ended_at IS NULL;
CREATE INDEX ON maintenance.episodes (item, check_name, opened_at DESC);

-- one row: a decision on alerts that was taken, so that nobody takes it a second time
CREATE TABLE maintenance.decisions (
    key text PRIMARY KEY,
    item text NOT NULL,
    as_of timestamptz NOT NULL
);
CREATE INDEX ON maintenance.decisions (item, as_of DESC);

-- one row: a message to people
CREATE TABLE maintenance.alerts (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL,
    message jsonb NOT NULL
);

-- one row: a message and a channel that is to carry it; claimed_until keeps two workers from sending it both
CREATE TABLE maintenance.deliveries (
    alert_id uuid NOT NULL REFERENCES maintenance.alerts,
    channel text NOT NULL,
    created_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    sent_at timestamptz,
    last_error text NOT NULL DEFAULT '',
    PRIMARY KEY (alert_id, channel)
);
CREATE INDEX ON maintenance.deliveries (channel, tries) WHERE sent_at IS NULL;

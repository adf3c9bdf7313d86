-- no rows: what scanners found, one row a finding whoever found it, and who saw it when

-- one row: one finding in one target; open while fixed_at is NULL
CREATE TABLE maintenance.findings (
    system text NOT NULL,
    identity text NOT NULL,
    target text NOT NULL,
    severity text NOT NULL,
    priority integer NOT NULL, -- 0 first
    facts jsonb NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    opened_at timestamptz NOT NULL, -- first_seen, or when it came back
    reopened integer DEFAULT 0 NOT NULL,
    due_at timestamptz NOT NULL,
    waiver text DEFAULT '' NOT NULL,
    waived_until timestamptz,
    fixed_at timestamptz,
    PRIMARY KEY (system, identity)
);
CREATE INDEX findings_open_idx ON maintenance.findings (system, priority, due_at) WHERE fixed_at IS NULL;

-- one row: a scanner that has seen a finding; it sees it no more since gone_at
CREATE TABLE maintenance.finding_sightings (
    system text NOT NULL,
    identity text NOT NULL,
    scanner text NOT NULL,
    target text NOT NULL,
    last_seen timestamptz NOT NULL,
    gone_at timestamptz,
    PRIMARY KEY (system, identity, scanner),
    FOREIGN KEY (system, identity) REFERENCES maintenance.findings (system, identity)
);
CREATE INDEX finding_sightings_look_idx ON maintenance.finding_sightings (target, scanner)
WHERE gone_at IS NULL;

-- one row: the last time that a scanner looked at all of a target, at which revision, by which data
CREATE TABLE maintenance.finding_looks (
    system text NOT NULL,
    scanner text NOT NULL,
    target text NOT NULL,
    looked_at timestamptz NOT NULL,
    basis text NOT NULL, -- what the scan rests on: where it is the same, so is what it would find
    result jsonb NOT NULL,
    PRIMARY KEY (system, scanner, target)
);

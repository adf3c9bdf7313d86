-- no rows: what ran, what it found, and what was written about it

-- one row: one item of the calendar in one run of its tier
CREATE TABLE maintenance.item_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tier text NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    item text NOT NULL,
    UNIQUE (dag_id, run_id, item)
);
CREATE INDEX ON maintenance.item_runs (item, id DESC);

-- one row: one execution of an item; a retry or a cleared run adds a row, an end that never came stays NULL
CREATE TABLE maintenance.item_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_run_id bigint NOT NULL REFERENCES maintenance.item_runs,
    attempt integer NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    verdict text CHECK (verdict IN ('OK', 'WARNING', 'UNKNOWN', 'CRITICAL')),
    outcome_digest text,
    out_of_scope jsonb NOT NULL DEFAULT '[]',
    UNIQUE (item_run_id, attempt),
    UNIQUE (item_run_id, outcome_digest),
    CHECK ((ended_at IS NULL) = (verdict IS NULL) AND (ended_at IS NULL) = (outcome_digest IS NULL))
);
CREATE INDEX ON maintenance.item_attempts (item_run_id, started_at DESC);
CREATE INDEX ON maintenance.item_attempts (started_at);

-- one row: what one check found in one execution; item and ended_at are repeated for the history of a check
CREATE TABLE maintenance.check_results (
    attempt_id bigint NOT NULL REFERENCES maintenance.item_attempts,
    position integer NOT NULL,
    item text NOT NULL,
    check_name text NOT NULL,
    ended_at timestamptz NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('OK', 'WARNING', 'UNKNOWN', 'CRITICAL')),
    result jsonb NOT NULL,
    PRIMARY KEY (attempt_id, position)
);
CREATE INDEX ON maintenance.check_results (item, check_name, ended_at DESC);
CREATE INDEX ON maintenance.check_results (item, check_name, ended_at DESC) WHERE verdict = 'OK';

-- one row: the report of one execution; written again when a channel turned out to be down while it was sent
CREATE TABLE maintenance.reports (
    id uuid PRIMARY KEY,
    attempt_id bigint NOT NULL UNIQUE REFERENCES maintenance.item_attempts,
    created_at timestamptz NOT NULL,
    report jsonb NOT NULL,
    markdown text NOT NULL,
    plain text NOT NULL
);
CREATE INDEX ON maintenance.reports (created_at DESC);

CREATE FUNCTION maintenance.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'maintenance.% is an audit trail: rows are added and never changed', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON maintenance.check_results
FOR EACH STATEMENT EXECUTE FUNCTION maintenance.refuse_change();

CREATE TRIGGER kept BEFORE DELETE OR TRUNCATE ON maintenance.item_attempts
FOR EACH STATEMENT EXECUTE FUNCTION maintenance.refuse_change();

CREATE FUNCTION maintenance.refuse_second_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this execution has ended already: a second end is a new attempt'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER ends_once BEFORE UPDATE ON maintenance.item_attempts
FOR EACH ROW WHEN (old.ended_at IS NOT NULL) EXECUTE FUNCTION maintenance.refuse_second_end();

-- no rows: what was removed or changed for good, written down before it was done

-- one row: a destructive step of an item run, noted before it was taken
CREATE TABLE maintenance.journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_run_id bigint NOT NULL REFERENCES maintenance.item_runs,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event text NOT NULL,
    facts jsonb NOT NULL
);
CREATE INDEX ON maintenance.journal (item_run_id);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON maintenance.journal
FOR EACH STATEMENT EXECUTE FUNCTION maintenance.refuse_change();

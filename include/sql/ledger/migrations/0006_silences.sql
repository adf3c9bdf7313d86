-- no rows: alerts that recovery work causes itself are held back while it runs

-- one row: the alerts of one check, or of an area, that a holder holds back until a moment
CREATE TABLE maintenance.silences (
    holder text NOT NULL,
    check_name text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (holder, check_name)
);

-- no rows: makes the schema and the record of its migrations, if they are missing
CREATE SCHEMA IF NOT EXISTS maintenance;

-- one row: a migration that this database has had, and the fingerprint of its text at that time
CREATE TABLE IF NOT EXISTS maintenance.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

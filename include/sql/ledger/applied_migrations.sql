-- a row: a migration that this ledger has had
SELECT version, name, checksum
FROM maintenance.migrations
ORDER BY version;

-- no rows: remembers that a migration was applied
INSERT INTO maintenance.migrations (version, name, checksum)
VALUES (%(version)s, %(name)s, %(checksum)s);

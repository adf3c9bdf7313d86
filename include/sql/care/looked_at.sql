-- One row: who we are, how many tables the database has, and whether the server counts what changes in them.
SELECT
    current_user::text AS role,
    count(*) AS tables,
    current_setting('track_counts')::bool AS tracks_counts
FROM pg_class
WHERE relkind IN ('r', 'm', 'p') AND relpersistence <> 't'

-- one row: something of the server that is tied to one database and does not move when another takes its name
SELECT
    'replication slot' AS kind,
    slot.slot_name::text AS name
FROM pg_catalog.pg_replication_slots AS slot
WHERE slot.database = %(name)s::name
UNION ALL
SELECT
    'prepared transaction',
    prepared.gid
FROM pg_catalog.pg_prepared_xacts AS prepared
WHERE prepared.database = %(name)s::name
UNION ALL
SELECT
    'subscription',
    subscription.subname::text
FROM pg_catalog.pg_subscription AS subscription
INNER JOIN pg_catalog.pg_database AS entry ON entry.oid = subscription.subdbid
WHERE entry.datname = %(name)s::name
ORDER BY kind, name;

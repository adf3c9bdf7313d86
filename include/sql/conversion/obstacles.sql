-- A row is what a conversion of the table %(oid)s would break: what stands on it, or acts when its rows change.
SELECT
    'refers to it' AS kind,
    concat('the foreign key ', con.conname, ' of ', con.conrelid::regclass) AS name
FROM pg_constraint AS con
WHERE con.contype = 'f' AND con.confrelid = %(oid)s AND con.conrelid <> %(oid)s
UNION ALL
SELECT
    'would have to be made anew' AS kind,
    concat('the foreign key ', con.conname) AS name
FROM pg_constraint AS con
WHERE con.contype = 'f' AND con.conrelid = %(oid)s
UNION ALL
SELECT
    'cannot stand on a partitioned table' AS kind,
    concat('the constraint ', con.conname) AS name
FROM pg_constraint AS con
WHERE
    con.conrelid = %(oid)s
    AND (con.contype = 'x' OR (con.contype = 'c' AND (con.connoinherit OR NOT con.convalidated)))
UNION ALL
SELECT
    'acts when its rows change' AS kind,
    concat('the trigger ', trig.tgname) AS name
FROM pg_trigger AS trig
WHERE
    trig.tgrelid = %(oid)s
    AND NOT trig.tgisinternal
    AND trig.tgname NOT IN ('tdev_note_changes', 'tdev_note_truncate', 'tdev_note_exchange')
UNION ALL
SELECT
    'acts when its rows change' AS kind,
    concat('the rule ', rewrite.rulename) AS name
FROM pg_rewrite AS rewrite
WHERE rewrite.ev_class = %(oid)s
UNION ALL
SELECT
    'hides its rows' AS kind,
    concat('the policy ', pol.polname) AS name
FROM pg_policy AS pol
WHERE pol.polrelid = %(oid)s
UNION ALL
SELECT
    'publishes it' AS kind,
    concat('the publication ', pub.pubname) AS name
FROM pg_publication AS pub
WHERE
    pub.puballtables
    OR EXISTS (
        SELECT 1 FROM pg_publication_rel AS rel
        WHERE rel.prpubid = pub.oid AND rel.prrelid = %(oid)s
    )
    OR EXISTS (
        SELECT 1 FROM pg_publication_namespace AS space
        INNER JOIN pg_class AS class ON class.relnamespace = space.pnnspid
        WHERE space.pnpubid = pub.oid AND class.oid = %(oid)s
    )
UNION ALL
SELECT
    'is filled by a subscription' AS kind,
    coalesce((
        SELECT concat('the subscription ', sub.subname) FROM pg_subscription AS sub
        WHERE sub.oid = rel.srsubid
    ), 'a subscription') AS name
FROM pg_subscription_rel AS rel
WHERE rel.srrelid = %(oid)s
UNION ALL
SELECT
    'would be lost' AS kind,
    'the replica identity' AS name
FROM pg_class AS class
WHERE class.oid = %(oid)s AND class.relkind = 'r' AND class.relreplident <> 'd'
UNION ALL
SELECT
    'would be lost' AS kind,
    'what is set for its TOAST table' AS name
FROM pg_class AS class
INNER JOIN pg_class AS toast ON toast.oid = class.reltoastrelid
WHERE class.oid = %(oid)s AND class.relkind = 'r' AND toast.reloptions IS NOT NULL
UNION ALL
SELECT
    'would be lost' AS kind,
    concat('what is set for the statistics of the column ', att.attname) AS name
FROM pg_attribute AS att
INNER JOIN pg_class AS class ON class.oid = att.attrelid
WHERE
    att.attrelid = %(oid)s
    AND class.relkind = 'r'
    AND att.attnum > 0
    AND NOT att.attisdropped
    AND (coalesce(att.attstattarget, -1) >= 0 OR att.attoptions IS NOT NULL)
UNION ALL
SELECT
    'would be lost' AS kind,
    concat('the INCLUDE of the key ', index.indexrelid::regclass) AS name
FROM pg_index AS index
WHERE index.indrelid = %(oid)s AND index.indisprimary AND index.indnkeyatts < index.indnatts
UNION ALL
SELECT DISTINCT
    'refers to it by its number, not by its name' AS kind,
    CASE
        WHEN dep.classid = 'pg_rewrite'::regclass
            THEN (
                SELECT
                    concat(
                        CASE class.relkind WHEN 'm' THEN 'the materialized view ' ELSE 'the view ' END,
                        class.oid::regclass
                    )
                FROM pg_rewrite AS rewrite
                INNER JOIN pg_class AS class ON class.oid = rewrite.ev_class
                WHERE rewrite.oid = dep.objid
            )
        ELSE concat('the ', pg_describe_object(dep.classid, dep.objid, dep.objsubid))
    END AS name
FROM pg_depend AS dep
WHERE
    dep.deptype = 'n'
    AND dep.classid IN (
        'pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass, 'pg_policy'::regclass
    )
    AND dep.objid <> %(oid)s
    AND (
        (dep.refclassid = 'pg_class'::regclass AND dep.refobjid = %(oid)s)
        OR (
            dep.refclassid = 'pg_type'::regclass
            AND dep.refobjid IN (
                SELECT kind.oid FROM pg_type AS kind
                WHERE kind.typrelid = %(oid)s
                UNION ALL
                SELECT kind.typarray FROM pg_type AS kind
                WHERE kind.typrelid = %(oid)s
            )
        )
    )
ORDER BY kind, name

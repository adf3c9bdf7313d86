-- A row is an object of the schema that pg_dump would dump: its kind, name, definition, and its owner and grants.
-- Expressions come without parentheses and casts to text, since PostgreSQL reads `IN ('a', 'b')` back another way.
WITH members AS (
    SELECT
        classid,
        objid
    FROM pg_catalog.pg_depend
    WHERE deptype = 'e'
),

schemas AS (
    SELECT *
    FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
),

relations AS (
    SELECT
        class.*,
        class.oid::regclass::text AS title
    FROM pg_catalog.pg_class AS class
    INNER JOIN schemas ON schemas.oid = class.relnamespace
    WHERE
        class.relpersistence <> 't'
        AND NOT EXISTS (
            SELECT 1
            FROM members
            WHERE members.classid = 'pg_catalog.pg_class'::regclass AND members.objid = class.oid
        )
),

routines AS (
    SELECT each.*
    FROM pg_catalog.pg_proc AS each
    INNER JOIN schemas ON schemas.oid = each.pronamespace
    WHERE NOT EXISTS (
        SELECT 1
        FROM members
        WHERE members.classid = 'pg_catalog.pg_proc'::regclass AND members.objid = each.oid
    )
),

types AS (
    SELECT each.*
    FROM pg_catalog.pg_type AS each
    INNER JOIN schemas ON schemas.oid = each.typnamespace
    WHERE
        each.typtype IN ('e', 'd', 'c', 'r')
        AND NOT EXISTS (
            SELECT 1
            FROM pg_catalog.pg_class
            WHERE pg_class.oid = each.typrelid AND pg_class.relkind <> 'c'
        )
        AND NOT EXISTS (
            SELECT 1
            FROM members
            WHERE members.classid = 'pg_catalog.pg_type'::regclass AND members.objid = each.oid
        )
),

owned (kind, name, owner, acl, expression, definition) AS (
    SELECT
        'schema',
        pg_catalog.quote_ident(nspname),
        nspowner,
        coalesce(nspacl, pg_catalog.acldefault('n', nspowner)),
        FALSE,
        ''
    FROM schemas
    WHERE
        NOT EXISTS (
            SELECT 1
            FROM members
            WHERE members.classid = 'pg_catalog.pg_namespace'::regclass AND members.objid = schemas.oid
        )
    UNION ALL
    SELECT
        CASE relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END,
        title,
        relowner,
        coalesce(relacl, pg_catalog.acldefault('r', relowner)),
        TRUE,
        concat_ws(' ', pg_catalog.pg_get_viewdef(oid), reloptions::text)
    FROM relations
    WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT
        CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
        oid::regprocedure::text,
        proowner,
        coalesce(proacl, pg_catalog.acldefault('f', proowner)),
        FALSE,
        CASE
            WHEN prokind <> 'a' THEN pg_catalog.pg_get_functiondef(oid)
            ELSE (
                SELECT
                    concat_ws(
                        ' ', aggtransfn::regprocedure, aggfinalfn::regprocedure, aggtranstype::regtype, agginitval
                    )
                FROM pg_catalog.pg_aggregate
                WHERE aggfnoid = routines.oid
            )
        END
    FROM routines
    UNION ALL
    SELECT
        'type',
        oid::regtype::text,
        typowner,
        coalesce(typacl, pg_catalog.acldefault('T', typowner)),
        FALSE,
        CASE typtype
            WHEN 'e'
                THEN (
                    SELECT pg_catalog.string_agg(pg_catalog.quote_literal(enumlabel), ',' ORDER BY enumsortorder)
                    FROM pg_catalog.pg_enum
                    WHERE enumtypid = types.oid
                )
            WHEN 'c'
                THEN (
                    SELECT
                        pg_catalog.string_agg(
                            pg_catalog.quote_ident(attname) || ' ' || pg_catalog.format_type(atttypid, atttypmod),
                            ',' ORDER BY attnum
                        )
                    FROM pg_catalog.pg_attribute
                    WHERE attrelid = types.typrelid AND attnum > 0 AND NOT attisdropped
                )
            WHEN 'r'
                THEN (
                    SELECT concat_ws(' ', rngsubtype::regtype, rngcollation::regcollation, rngsubdiff::regproc)
                    FROM pg_catalog.pg_range
                    WHERE rngtypid = types.oid
                )
            ELSE concat_ws(
                ' ', pg_catalog.format_type(typbasetype, typtypmod), typnotnull, typdefault, typcollation::regcollation
            )
        END
    FROM types
),

parts (kind, name, expression, definition) AS (
    SELECT
        'relation',
        title,
        TRUE,
        concat_ws(
            ' ',
            relpersistence,
            relreplident,
            relforcerowsecurity,
            reloptions::text,
            reloftype::regtype::text,
            CASE WHEN relkind = 'p' THEN pg_catalog.pg_get_partkeydef(oid) END,
            pg_catalog.pg_get_expr(relpartbound, oid),
            (
                SELECT pg_catalog.string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno)
                FROM pg_catalog.pg_inherits
                WHERE inhrelid = relations.oid
            ),
            (
                SELECT concat_ws(' ', srvname, ftoptions::text)
                FROM pg_catalog.pg_foreign_table
                INNER JOIN pg_catalog.pg_foreign_server ON pg_foreign_server.oid = ftserver
                WHERE ftrelid = relations.oid
            )
        )
    FROM relations
    WHERE relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT
        'default of',
        relations.title || '.' || pg_catalog.quote_ident(attname),
        TRUE,
        pg_catalog.pg_get_expr(adbin, adrelid)
    FROM pg_catalog.pg_attrdef
    INNER JOIN relations ON relations.oid = adrelid
    INNER JOIN pg_catalog.pg_attribute ON attrelid = adrelid AND attnum = adnum
    UNION ALL
    SELECT
        'constraint',
        pg_catalog.quote_ident(conname) || ' of ' || coalesce(relations.title, contypid::regtype::text),
        TRUE,
        pg_catalog.pg_get_constraintdef(pg_constraint.oid)
    FROM pg_catalog.pg_constraint
    LEFT JOIN relations ON relations.oid = conrelid
    LEFT JOIN types ON types.oid = contypid
    WHERE contype <> 't' AND (relations.oid IS NOT NULL OR types.oid IS NOT NULL)
    UNION ALL
    SELECT
        'index',
        indexrelid::regclass::text,
        TRUE,
        concat_ws(' ', pg_catalog.pg_get_indexdef(indexrelid), indisclustered, indisreplident)
    FROM pg_catalog.pg_index
    INNER JOIN relations ON relations.oid = indrelid
    -- an index whose concurrent build failed is not dumped
    WHERE indisvalid OR relations.relkind = 'p'
    UNION ALL
    SELECT
        'trigger',
        pg_catalog.quote_ident(tgname) || ' of ' || relations.title,
        TRUE,
        concat_ws(' ', pg_catalog.pg_get_triggerdef(pg_trigger.oid), tgenabled)
    FROM pg_catalog.pg_trigger
    INNER JOIN relations ON relations.oid = tgrelid
    WHERE NOT tgisinternal
    UNION ALL
    SELECT
        'rule',
        pg_catalog.quote_ident(rulename) || ' of ' || relations.title,
        TRUE,
        concat_ws(' ', pg_catalog.pg_get_ruledef(pg_rewrite.oid), ev_enabled)
    FROM pg_catalog.pg_rewrite
    INNER JOIN relations ON relations.oid = ev_class
    WHERE rulename <> '_RETURN'
    UNION ALL
    SELECT
        'policy',
        pg_catalog.quote_ident(polname) || ' of ' || relations.title,
        TRUE,
        concat_ws(
            ' ',
            polcmd,
            polpermissive,
            (
                SELECT pg_catalog.string_agg(coalesce(rolname, 'PUBLIC'), ',' ORDER BY rolname)
                FROM pg_catalog.unnest(polroles) AS role
                LEFT JOIN pg_catalog.pg_roles ON pg_roles.oid = role
            ),
            pg_catalog.pg_get_expr(polqual, polrelid),
            pg_catalog.pg_get_expr(polwithcheck, polrelid)
        )
    FROM pg_catalog.pg_policy
    INNER JOIN relations ON relations.oid = polrelid
    UNION ALL
    SELECT
        'statistics',
        pg_catalog.quote_ident(stxname) || ' of ' || relations.title,
        TRUE,
        pg_catalog.pg_get_statisticsobjdef(pg_statistic_ext.oid)
    FROM pg_catalog.pg_statistic_ext
    INNER JOIN relations ON relations.oid = stxrelid
    UNION ALL
    SELECT
        'default grants',
        concat_ws(' ', pg_catalog.pg_get_userbyid(defaclrole), nspname, defaclobjtype),
        FALSE,
        (
            SELECT pg_catalog.string_agg(each::text, ' ' ORDER BY each::text COLLATE "C")
            FROM pg_catalog.unnest(defaclacl) AS each
        )
    FROM pg_catalog.pg_default_acl
    LEFT JOIN pg_catalog.pg_namespace ON pg_namespace.oid = defaclnamespace
    UNION ALL
    SELECT
        'event trigger',
        pg_catalog.quote_ident(evtname),
        FALSE,
        concat_ws(' ', evtevent, evtfoid::regprocedure, evtenabled, evttags::text)
    FROM pg_catalog.pg_event_trigger
    UNION ALL
    SELECT
        'publication',
        pg_catalog.quote_ident(pubname),
        FALSE,
        concat_ws(
            ' ',
            puballtables,
            pubinsert,
            pubupdate,
            pubdelete,
            pubtruncate,
            pubviaroot,
            (
                SELECT pg_catalog.string_agg(prrelid::regclass::text, ',' ORDER BY prrelid::regclass::text COLLATE "C")
                FROM pg_catalog.pg_publication_rel
                WHERE prpubid = pg_publication.oid
            )
        )
    FROM pg_catalog.pg_publication
    UNION ALL
    SELECT
        'foreign server',
        pg_catalog.quote_ident(srvname),
        FALSE,
        concat_ws(' ', fdwname, srvtype, srvversion, srvoptions::text)
    FROM pg_catalog.pg_foreign_server
    INNER JOIN pg_catalog.pg_foreign_data_wrapper ON pg_foreign_data_wrapper.oid = srvfdw
    UNION ALL
    SELECT
        'comment on',
        concat_ws(' ', named.type, named.identity),
        FALSE,
        pg_description.description
    FROM pg_catalog.pg_description
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(classoid, objoid, objsubid) AS named
    WHERE
        objoid >= 16384
        AND NOT EXISTS (
            SELECT 1
            FROM members
            WHERE members.classid = pg_description.classoid AND members.objid = pg_description.objoid
        )
        AND named.type <> 'extension'
),

listed (kind, name, rights, expression, definition) AS (
    SELECT
        kind,
        name,
        concat_ws(
            ' ',
            'owner', pg_catalog.pg_get_userbyid(owner),
            (
                SELECT
                    pg_catalog.string_agg(DISTINCT concat(
                        coalesce(role.rolname, 'PUBLIC'), '=', privilege_type, CASE WHEN is_grantable THEN '*' END
                    ) COLLATE "C", ' ')
                FROM pg_catalog.aclexplode(owned.acl)
                LEFT JOIN pg_catalog.pg_roles AS role ON role.oid = grantee
            )
        ),
        expression,
        definition
    FROM owned
    UNION ALL
    SELECT
        kind,
        name,
        NULL,
        expression,
        definition
    FROM parts
)

SELECT
    kind,
    name,
    rights,
    CASE
        WHEN NOT expression THEN definition
        ELSE pg_catalog.translate(pg_catalog.regexp_replace(
            definition, '::(character varying|character|bpchar|text)(\([0-9]+\))?(\[\])?', '', 'g'
        ), E'() \n', '')
    END AS definition
FROM listed
ORDER BY kind, name

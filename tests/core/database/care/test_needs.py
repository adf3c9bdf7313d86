from tdev_operators.core.database.care.needs import Table, plan


def table(name="metrics", schema="public", **figures):
    nothing = {
        "rows_estimated": 1000.0,
        "invisible_pages": 0,
        "dead": 0.0,
        "changed": 0.0,
        "written": 0.0,
        "age_percent": 1.0,
        "is_dead": False,
        "is_invisible": False,
        "is_old": False,
        "is_changed": False,
        "always": False,
        "owner": "t_developer",
        "may": True,
    }
    return Table(oid=1, schema_name=schema, table_name=name, **{**nothing, **figures})


def planned(changed, *tables, hours=100.0, postponed=(), too_long=()):
    return plan(tables, changed().care, hours, postponed, too_long)


def test_the_neediest_goes_first_and_what_nears_wraparound_before_everything(changed):
    works = planned(
        changed,
        table("always", always=True),
        table("worse", dead=900.0, is_dead=True),
        table("bad", dead=300.0, is_dead=True),
        table("old", age_percent=80.0, is_old=True),
    )
    assert [work.table.name for work in works] == ["old", "worse", "bad", "always"]


def test_of_what_nears_wraparound_the_nearest_goes_first_however_much_changed_in_the_other(changed):
    works = planned(
        changed,
        table("changed", age_percent=60.0, is_old=True, changed=1e6, is_changed=True),
        table("nearest", age_percent=80.0, is_old=True),
    )
    assert [work.table.name for work in works] == ["nearest", "changed"]


def test_what_did_not_fit_last_time_goes_first_and_what_took_too_long_last(changed):
    works = planned(
        changed,
        table("old", age_percent=80.0, is_old=True),
        table("a", dead=900.0, is_dead=True),
        table("b", dead=300.0, is_dead=True),
        table("c", dead=999.0, is_dead=True),
        table("long", dead=999.0, is_dead=True),
        postponed=("b", "gone", "a"),
        too_long=("long",),
    )
    assert [work.table.name for work in works] == ["old", "b", "a", "c", "long"]


def test_a_statement_says_what_its_table_needs(changed):
    texts = [
        work.text
        for work in planned(
            changed,
            table("dead", dead=900.0, is_dead=True, always=True),
            table("hot", dead=800.0, is_dead=True, written=1e9),
            table("old", age_percent=80.0, is_old=True),
            table("changed", changed=100.0, is_changed=True, schema='Odd "one"'),
        )
    ]
    assert texts == [
        'VACUUM (FREEZE, SKIP_LOCKED) "public"."old";',
        'VACUUM (ANALYZE, SKIP_LOCKED) "public"."dead";',
        'VACUUM (SKIP_LOCKED, TRUNCATE false) "public"."hot";',
        'ANALYZE (SKIP_LOCKED) "Odd ""one"""."changed";',
    ]


def test_a_table_says_why_it_is_cared_for(changed):
    [work] = planned(changed, table(dead=500.0, is_dead=True, changed=70.0, is_changed=True, schema="audit"))
    assert work.table.name == "audit.metrics"
    assert work.reasons == ("500 dead rows (33 %)", "70 rows changed since it was analyzed")

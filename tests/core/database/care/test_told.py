from tdev_operators.core.database.care.leftovers import Invalid, Swept
from tdev_operators.core.database.care.told import leftovers_result


def dropped(number):
    return Invalid(
        oid=number,
        schema_name="public",
        index_name=f"metrics_{number}_ccnew",
        table_oid=1,
        table_name="metrics",
        bytes=1024 * 1024,
        definition="CREATE INDEX",
        is_leftover=True,
        worker_pid=None,
        owner="t_developer",
        may=True,
    )


def test_leftovers_are_counted_in_words():
    one = leftovers_result(Swept(dropped=(dropped(1),)), "PostgreSQL")
    two = leftovers_result(Swept(dropped=(dropped(1), dropped(2))), "PostgreSQL")
    assert one.summary == "1 invalid index of dead rebuilds was dropped (1.0 MB)."
    assert two.summary == "2 invalid indexes of dead rebuilds were dropped (2.0 MB)."

"""The report of a restore is made of its journal alone."""

import pytest

from tdev_operators.core.recovery.restore import STOPPED
from tdev_operators.core.recovery.take_place import EXCHANGE, OPEN
from tdev_operators.core.recovery.told import results_of
from tests.core.backup.whole_sets import summary, verdicts

PLACES = {"live_name": "t_developer", "live_oid": 1, "new_name": "n", "new_oid": 2, "old_name": "t_developer_old_1"}


def told(restore, **options):
    return results_of(restore.journal, **options)


def test_what_was_not_reached_is_unknown(day):
    with day.restore(buckets=("agents",)) as restore:
        assert verdicts(told(restore)) == dict.fromkeys(
            ("restore.set", "restore.database", "restore.bucket_agents"), "UNKNOWN"
        )


def test_what_was_restored_is_ok_with_its_figures(day):
    with day.restore(buckets=("agents",), buckets_into="scratch") as restore:
        restore.restore_database()
        restore.restore_buckets()
        results = told(restore)
    assert verdicts(results) == dict.fromkeys(("restore.set", "restore.database", "restore.bucket_agents"), "OK")
    assert "is equal to the source at the snapshot" in summary(results, "restore.database")
    assert {"restore and proof", "data", "verify"} <= {one.name for one in results[1].measurements}


def test_differences_and_damage_are_critical_and_doubt_is_unknown(day):
    with day.restore(buckets=("agents",)) as restore:
        restore.choose()
        facts = {"name": "x", "source": "t_developer", "set_id": "s", "oid": 1, "phases": {}, "tables": 1, "rows": 1}
        restore.journal.note("database x", "done", **facts, differences=["agents differs."], unprovable="")
        done = {
            "name": "agents",
            "bucket": "b",
            "prefix": "",
            "written": 1,
            "written_bytes": 1,
            "removed": 0,
            "kept": 0,
        }
        restore.journal.note("bucket agents", "done", **done, damaged=["'k' is damaged."], damages=1, seconds=1)
        assert verdicts(told(restore))["restore.database"] == "CRITICAL"
        assert verdicts(told(restore))["restore.bucket_agents"] == "CRITICAL"
        restore.journal.note("database x", "done", **facts, differences=[], unprovable="another major")
        assert verdicts(told(restore))["restore.database"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("steps", "verdict", "says"),
    [
        ([], "UNKNOWN", "was not replaced"),
        ([(EXCHANGE, "intended")], "CRITICAL", "has no end that is known"),
        ([(EXCHANGE, "done"), (EXCHANGE, "undone")], "CRITICAL", "was taken back"),
        ([(EXCHANGE, "done"), (OPEN, "done")], "OK", "kept as t_developer_old_1"),
    ],
)
def test_the_live_database_is_told_as_it_stands(day, steps, verdict, says):
    with day.restore(database="live", no_safety_set=True) as restore:
        for step, event in steps:
            restore.journal.note(step, event, **PLACES)
        results = told(restore)
    assert verdicts(results)["restore.live"] == verdict
    assert says in summary(results, "restore.live")


def test_services_that_nobody_saw_run_again_are_critical(day):
    with day.restore(database="live") as restore:
        restore.journal.note(STOPPED, "done", services=["api"])
        assert verdicts(told(restore))["restore.services"] == "CRITICAL"


def test_a_refusal_says_why(day):
    with day.restore(database="live") as restore:
        restore.note_refusal("deputy rejected it.")
        assert summary(told(restore), "restore.approval") == "Not restored: deputy rejected it."


def test_a_dry_run_tells_its_plan(day):
    with day.restore() as restore:
        restore.choose()
        restore.preflight()
        results = told(restore, dry_run=True)
    assert verdicts(results) == {"restore.set": "OK", "restore.dry_run": "OK"}

"""`tdev status`: what it says and how it exits, without Airflow."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.cli.status import status
from tdev_operators.core.reporting.runs import report_item
from tdev_operators.core.reporting.status import CalendarItem, Health, LastRun, assess
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.ledger_views import LedgerViews, keep_calendar
from tdev_operators.hooks.resilient_ledger import ResilientLedger
from tdev_operators.hooks.spool import Spool
from tests.records import REF, facts_of, outcome, ran, result, settings

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HEALTH = CalendarItem("daily", "health_check", "0 9 * * *", 15, "critical", "DevOps", NINE - timedelta(days=30))
BACKUP = CalendarItem("weekly", "full_backup", "0 3 * * 1", 120, "high", "DevOps", NINE - timedelta(days=30))


def last(entry: CalendarItem, started_at: datetime, verdict: Verdict | None = Verdict.OK) -> LastRun:
    ended = started_at + timedelta(minutes=1) if verdict else None
    return LastRun(entry.tier, entry.item, "run", started_at, ended, verdict)


def state(now: datetime, *, ran_at: datetime | None, beat_at: datetime | None, verdict: Verdict = Verdict.OK):
    runs = [last(HEALTH, ran_at, verdict)] if ran_at else []
    return assess([HEALTH], runs, {"daily": beat_at} if beat_at else {}, [], now)


def test_all_is_well_when_the_last_slot_ran():
    found = state(NINE + timedelta(hours=5), ran_at=NINE, beat_at=NINE + timedelta(minutes=2))
    assert found.health is Health.WELL
    assert found.items[0].next_slot == NINE + timedelta(days=1)


def test_a_red_verdict_is_1():
    found = state(NINE + timedelta(hours=5), ran_at=NINE, beat_at=NINE, verdict=Verdict.UNKNOWN)
    assert found.health is Health.RED


@pytest.mark.parametrize(("minutes", "health"), [(29, Health.WELL), (31, Health.OVERDUE)])
def test_a_slot_is_overdue_after_its_time_and_a_grace(minutes, health):
    yesterday = NINE - timedelta(days=1)
    found = state(NINE + timedelta(minutes=minutes), ran_at=yesterday, beat_at=yesterday)
    assert found.health is health


@pytest.mark.parametrize(("minutes", "health"), [(29, Health.WELL), (31, Health.OVERDUE)])
def test_an_item_that_began_and_never_ended_is_overdue(minutes, health):
    found = assess(
        [HEALTH],
        [last(HEALTH, NINE, None)],
        {"daily": NINE + timedelta(hours=1)},
        [],
        NINE + timedelta(minutes=minutes),
    )
    assert found.health is health


def test_a_tier_whose_runs_never_end_is_silent():
    found = state(NINE + timedelta(hours=1), ran_at=NINE, beat_at=NINE - timedelta(days=1))
    assert found.items[0].overdue_since is None
    (sentence,) = found.silent
    assert sentence == (
        "The daily tier was due at 2026-11-23 09:00 UTC, and its last run ended at 2026-11-22 09:00 UTC: "
        "its DAG is paused, or nobody schedules."
    )
    assert found.health is Health.OVERDUE


def test_when_every_tier_is_silent_it_is_the_scheduler():
    found = assess([HEALTH, BACKUP], [], {}, [], NINE + timedelta(days=2))
    assert [sentence.rpartition(": ")[2] for sentence in found.silent] == ["the scheduler is silent."] * 2


def test_a_paused_weekly_tier_beside_a_living_daily_one():
    now = NINE + timedelta(hours=5)  # a Monday; the full back-up was due at 03:00
    found = assess([HEALTH, BACKUP], [last(HEALTH, NINE)], {"daily": NINE, "weekly": NINE - timedelta(days=7)}, [], now)
    assert [sentence[:15] for sentence in found.silent] == ["The weekly tier"]


def test_what_was_not_expected_yet_is_not_overdue():
    fresh = replace(HEALTH, since=NINE + timedelta(hours=1))
    assert assess([fresh], [], {}, [], NINE + timedelta(hours=5)).health is Health.WELL
    assert assess([fresh], [], {}, [], NINE + timedelta(days=1, hours=1)).health is Health.OVERDUE


# Over a real ledger


@pytest.fixture
def facts(database):
    facts = facts_of(database)
    migrate(facts)
    return facts


@pytest.fixture
def environment(database):
    connection = {"conn_type": "postgres", **{k: database[k] for k in ("host", "port", "password")}}
    connection |= {"login": database["user"], "schema": database["dbname"]}
    return {"AIRFLOW_CONN_TDEV_LEDGER": json.dumps(connection)}


def told(environment, now: datetime) -> tuple[int, str]:
    out = io.StringIO()
    return int(status(environment=environment, now=now, out=out)), out.getvalue()


def test_the_life_of_a_daily_tier(facts, environment):
    class EmptyStore:
        def list(self, bucket, prefix=""):
            return iter(())

    assert told(environment, NINE)[0] == 0
    keep_calendar(facts, [replace(HEALTH, since=None), BACKUP])
    keep_calendar(facts, [HEALTH])
    code, text = told(environment, datetime.now(UTC))
    assert code == 0
    assert "daily health_check  never ran, next " in text
    assert "full_backup" not in text

    soon = datetime.now(UTC) + timedelta(days=2)
    assert told(environment, soon)[0] == 2
    ledger = ResilientLedger(PostgresLedger(facts), Spool(EmptyStore(), "backups", "t-developer"))
    ran(ledger, REF, outcome(result("database.dead_tuples", Verdict.CRITICAL, "31 % are dead."), ended_at=soon))
    report_item(ledger, [], settings(), REF, now=soon)
    ledger.record_heartbeat("daily", "tdev_daily", "run-1", soon)
    code, text = told(environment, soon + timedelta(minutes=5))
    assert code == 1
    assert "CRITICAL 5 min ago" in text
    assert "CRITICAL: database.dead_tuples, for 5 min: 31 % are dead." in text
    assert text.rstrip().endswith("Something is red.")


def test_a_changed_time_is_expected_from_then_on(facts):
    keep_calendar(facts, [HEALTH])
    before = LedgerViews(facts).status(NINE).items[0].calendar
    keep_calendar(facts, [HEALTH])
    assert LedgerViews(facts).status(NINE).items[0].calendar == before
    keep_calendar(facts, [replace(HEALTH, cron="0 8 * * *")])
    assert LedgerViews(facts).status(NINE).items[0].calendar.since > before.since


def test_json_says_the_same(facts, environment):
    keep_calendar(facts, [HEALTH])
    out = io.StringIO()
    assert status(as_json=True, environment=environment, now=datetime.now(UTC), out=out) is Health.WELL
    data = json.loads(out.getvalue())
    assert (data["health"], data["items"][0]["item"], data["episodes"], data["silent"]) == (
        "WELL",
        "health_check",
        [],
        [],
    )


@pytest.mark.parametrize("connection", [None, "postgres://u:hunter2@127.0.0.1:1/x"])
def test_a_ledger_that_cannot_be_read_is_3(connection):
    environment = {"AIRFLOW_CONN_TDEV_LEDGER": connection} if connection else {}
    out = io.StringIO()
    assert int(status(environment=environment, out=out)) == 3
    assert out.getvalue().startswith("The state of the maintenance is not known: ")
    assert "hunter2" not in out.getvalue()
    assert int(status(as_json=True, environment=environment, out=out)) == 3


def test_it_works_without_airflow():
    code = (
        "import sys, argparse; from tdev_operators.cli import status; p = argparse.ArgumentParser(); "
        "status.add_arguments(p); code = status.run(p.parse_args(['--json'])); "
        "assert not [m for m in sys.modules if m.split('.')[0] in ('airflow', 'boto3', 'fastapi')]; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={})
    assert done.returncode == 3, done.stderr

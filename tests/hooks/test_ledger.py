"""The ledger in a real PostgreSQL: attempts, leases, migrations, decisions, deliveries."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import psycopg
import pytest

from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    SettingsError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.items import ItemRef
from tdev_operators.core.ledger import Decision, Sample
from tdev_operators.core.reporting.alerts import plan_alerts
from tdev_operators.core.reporting.messages import AlertMessage, message_id
from tdev_operators.core.reporting.report import build_report
from tdev_operators.core.verdicts import CheckResult, Verdict
from tdev_operators.hooks import ledger_database
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import Migration, ensure_separate, migrate, shipped_migrations
from tdev_operators.hooks.ledger_views import LedgerViews
from tdev_operators.hooks.postgres import PostgresDatabase
from tests.records import HOSTILE, NOON, REF, facts_of, full_outcome, outcome, ran, result, settings

RED = outcome(result("database.dead_tuples", Verdict.CRITICAL))


@pytest.fixture
def facts(database) -> ConnectionFacts:
    facts = facts_of(database)
    migrate(facts)
    return facts


@pytest.fixture
def ledger(facts) -> PostgresLedger:
    return PostgresLedger(facts)


@pytest.fixture
def query(database) -> Callable[..., list]:
    def ask(statement: str) -> list:
        with psycopg.connect(**database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return ask


# Items and attempts


def test_an_item_comes_back_as_it_was_recorded(ledger):
    found = full_outcome()
    found = replace(found, results=tuple(r for r in found.results if "inodes" not in str(r.measurements)))
    ledger.open_item(REF, found.started_at)
    opened = ledger.item(REF)
    assert (opened.outcome, opened.verdict, opened.attempt) == (None, None, 1)
    ledger.close_item(REF, found)
    closed = ledger.item(REF)
    assert closed.outcome == found
    assert closed.verdict is Verdict.CRITICAL
    assert (closed.ref, closed.first_ended_at, closed.report_id) == (REF, NOON, "")


def test_an_item_that_never_ran_has_no_record(ledger):
    assert ledger.item(REF) is None


def test_the_same_end_twice_is_one_and_another_end_is_another_attempt(ledger, query):
    ran(ledger, REF, RED)
    ran(ledger, REF, RED)
    assert query("SELECT count(*) FROM maintenance.item_attempts") == [(1,)]
    later = outcome(result("database.dead_tuples"), ended_at=NOON + timedelta(hours=1))
    ran(ledger, REF, later)
    record = ledger.item(REF)
    assert (record.attempt, record.verdict, record.first_ended_at) == (2, Verdict.OK, NOON)
    assert query("SELECT attempt, verdict FROM maintenance.item_attempts ORDER BY 1") == [(1, "CRITICAL"), (2, "OK")]


def test_a_worker_that_died_leaves_an_attempt_without_end(ledger):
    ledger.open_item(REF, NOON - timedelta(hours=1))
    ran(ledger, REF, RED)
    assert ledger.item(REF).attempt == 2
    ledger.open_item(REF, NOON + timedelta(hours=1))
    assert (ledger.item(REF).attempt, ledger.item(REF).outcome) == (3, None)


def test_an_end_without_a_beginning_is_kept(ledger):
    ledger.close_item(REF, RED)
    assert ledger.item(REF).outcome == RED


def test_two_workers_that_record_at_once_make_one_attempt_each(ledger, query):
    outcomes = [outcome(result("a.b"), ended_at=NOON + timedelta(seconds=n)) for n in range(8)]
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda found: ran(ledger, REF, found), outcomes))
        list(workers.map(lambda found: ledger.close_item(REF, found), outcomes))
    assert query("SELECT count(*), max(attempt), count(ended_at) FROM maintenance.item_attempts") == [(8, 8, 8)]


def test_hostile_text_can_be_kept(ledger):
    for number, name in enumerate(HOSTILE):
        ref, found = replace(REF, run_id=f"run-{number}"), full_outcome(name)
        ran(ledger, ref, found)
        assert [r.verdict for r in ledger.item(ref).results] == [r.verdict for r in found.results]
        report = build_report(ref, found, settings(), attempt=1, bad_since={}, now=NOON)
        ledger.save_report(ref, report)
        assert ledger.item(ref).report_id == report.id


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE maintenance.check_results SET verdict = 'OK'",
        "DELETE FROM maintenance.check_results",
        "TRUNCATE maintenance.check_results",
        "UPDATE maintenance.item_attempts SET verdict = 'OK'",
        "DELETE FROM maintenance.item_attempts",
    ],
)
def test_what_was_found_cannot_be_changed_even_by_the_owner(ledger, query, statement):
    ran(ledger, REF, RED)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(statement)


def test_since_when_is_the_beginning_of_the_unbroken_streak(ledger):
    history = [Verdict.CRITICAL, Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN, Verdict.CRITICAL]
    for day, verdict in enumerate(history):
        ref = replace(REF, run_id=f"run-{day}")
        found = outcome(result("a.b", verdict), result("c.d"), ended_at=NOON + timedelta(days=day))
        ran(ledger, ref, found)
    assert ledger.bad_since("health_check", NOON + timedelta(days=4)) == {"a.b": NOON + timedelta(days=2)}
    assert ledger.bad_since("health_check", NOON + timedelta(days=1)) == {}
    assert ledger.bad_since("health_check", NOON) == {"a.b": NOON}
    assert ledger.bad_since("backup", NOON + timedelta(days=4)) == {}


# Leases


def test_a_lease_keeps_others_out_and_names_its_holder(ledger):
    with (
        ledger.lease("item:backup", "tdev_daily run-1"),
        pytest.raises(BusyError) as refused,
        ledger.lease("item:backup", "tdev_weekly run-2"),
    ):
        pass
    assert str(refused.value).startswith("tdev_daily run-1 holds item:backup since 20")
    with ledger.lease("item:backup", "tdev_weekly run-2") as lease:
        assert not lease.lost


def test_a_lease_is_given_back_when_the_work_fails(ledger):
    with pytest.raises(ZeroDivisionError), ledger.lease("x", "a"):
        raise ZeroDivisionError
    with ledger.lease("x", "b"):
        pass


def test_a_lease_is_renewed_while_it_is_held(ledger):
    with ledger.lease("x", "a", ttl_seconds=1.0) as lease:
        time.sleep(2.0)
        assert not lease.lost
        with pytest.raises(BusyError), ledger.lease("x", "b"):
            pass


def test_a_dead_worker_loses_its_lease_and_the_living_one_notices(ledger, query):
    with ledger.lease("x", "a", ttl_seconds=0.6) as lease:
        query("UPDATE maintenance.leases SET expires_at = clock_timestamp() - interval '1 second'")
        with ledger.lease("x", "b"):
            deadline = time.monotonic() + 10
            while not lease.lost and time.monotonic() < deadline:
                time.sleep(0.05)
            assert lease.lost
            assert query("SELECT holder FROM maintenance.leases") == [("b",)]


def test_who_falls_asleep_in_a_transaction_does_not_keep_the_others_waiting(facts, ledger, monkeypatch):
    monkeypatch.setattr(ledger_database, "_STATEMENT_SECONDS", 4.0)
    renewal = {"name": "x", "token": str(uuid.uuid4()), "ttl_seconds": 60}
    database = ledger_database.LedgerDatabase(facts)
    with database.transaction() as transaction:
        transaction.rows("take_lease", holder="a", **renewal)

    def asleep():
        with database.transaction() as sleeper:
            sleeper.rows("renew_lease", **renewal)
            time.sleep(5)  # its row is locked

    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(asleep)
        time.sleep(0.5)
        with database.transaction() as other:
            assert other.row("renew_lease", **renewal) == {"name": "x"}
        with pytest.raises(TdevError):
            sleeping.result()


def test_of_many_who_want_a_lease_at_once_one_gets_it(ledger):
    start = Barrier(6)

    def grab(name: str) -> bool:
        start.wait()
        try:
            with ledger.lease("x", name):
                time.sleep(0.5)
                return True
        except BusyError:
            return False

    with ThreadPoolExecutor(6) as workers:
        assert sum(workers.map(grab, "abcdef")) == 1


# Decisions and deliveries


def decide_red(ledger: PostgresLedger, ref: ItemRef, occasion: str, as_of=NOON, *, channels=("mail",)) -> bool:
    def decide(episodes):
        plan = plan_alerts(episodes, ref.item, RED, settings(), NOON)
        return Decision.of(plan, AlertMessage(message_id(occasion), "t-developer", plan.notices, NOON))

    return ledger.decide(occasion, ref.item, as_of, decide, channels=channels, damping_hours=1)


def test_workers_that_decide_at_once_send_one_message(ledger, query):
    start = Barrier(6)

    def work(number: int) -> bool:
        start.wait()
        return decide_red(ledger, REF, "report:one" if number % 2 else f"report:{number}")

    with ThreadPoolExecutor(6) as workers:
        assert sum(workers.map(work, range(6))) == 4  # one of the three who came for the same occasion, and the others
    assert query("SELECT count(*) FROM maintenance.episodes") == [(1,)]
    assert query("SELECT count(*) FROM maintenance.alerts") == [(1,)]


def test_old_news_decides_nothing(ledger, query):
    assert decide_red(ledger, REF, "report:new", NOON + timedelta(hours=1))
    query("UPDATE maintenance.episodes SET ended_at = now()")
    assert decide_red(ledger, REF, "report:old", NOON)
    assert query("SELECT count(*) FROM maintenance.episodes WHERE ended_at IS NULL") == [(0,)]


def test_a_rule_that_fails_leaves_nothing_behind(ledger, query):
    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.decide("x", "health_check", NOON, fail, channels=["mail"], damping_hours=1)
    assert query("SELECT count(*) FROM maintenance.decisions") == [(0,)]


def test_a_message_is_claimed_by_one_worker_and_sent_once_a_channel(ledger):
    decide_red(ledger, REF, "report:one", channels=("mail", "slack"))
    with ThreadPoolExecutor(6) as workers:
        claims = [c for c in workers.map(lambda _: ledger.next_delivery("mail", NOON), range(6)) if c]
    assert len(claims) == 1
    assert claims[0].message.notices[0].check == "database.dead_tuples"
    ledger.record_delivery(claims[0], NOON)
    assert ledger.next_delivery("mail", NOON + timedelta(hours=1)) is None
    assert ledger.next_delivery("slack", NOON) is not None


def test_a_failed_delivery_is_tried_again_for_a_week(ledger):
    decide_red(ledger, REF, "report:one")
    first = ledger.next_delivery("mail", NOON)
    ledger.record_delivery(first, NOON, "The mail server is down.")
    assert ledger.next_delivery("mail", NOON) is None
    assert ledger.next_delivery("mail", NOON + timedelta(minutes=2)) == first
    assert ledger.waiting(["mail"], NOON) == 1
    ledger.record_delivery(first, NOON + timedelta(minutes=2), "Still down.")
    # The daily tier has one slot a day: the next run comes a day and some seconds later.
    assert ledger.next_delivery("mail", NOON + timedelta(hours=24, seconds=30)) == first
    assert ledger.waiting(["mail"], NOON + timedelta(days=8)) == 0
    assert ledger.next_delivery("mail", NOON + timedelta(days=8)) is None


def test_a_message_whose_worker_died_while_sending_goes_out_again(ledger):
    decide_red(ledger, REF, "report:one")
    first = ledger.next_delivery("mail", NOON)
    assert ledger.next_delivery("mail", NOON + timedelta(minutes=1)) is None
    assert ledger.next_delivery("mail", NOON + timedelta(minutes=3)) == first


# Set-up


def test_migrations_are_applied_once_and_in_order(database):
    facts = facts_of(database)
    assert migrate(facts) == [migration.name for migration in shipped_migrations()]
    assert migrate(facts) == []


def test_two_that_start_at_once_are_both_well(database, query):
    facts, start = facts_of(database), Barrier(4)

    def work(_: int) -> list[str]:
        start.wait()
        return migrate(facts)

    with ThreadPoolExecutor(4) as workers:
        applied = list(workers.map(work, range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(shipped_migrations())]
    assert query("SELECT count(*) FROM maintenance.migrations") == [(len(shipped_migrations()),)]


def test_a_migration_that_fails_changes_nothing(database, query):
    broken = Migration(4, "0004_broken", "CREATE TABLE maintenance.half (x int); SELECT 1/0;")
    with pytest.raises(Exception, match="division by zero"):
        migrate(facts_of(database), [*shipped_migrations(), broken])
    assert query("SELECT to_regnamespace('maintenance')") == [(None,)]


def test_an_edited_migration_is_refused(facts):
    first, *others = shipped_migrations()
    with pytest.raises(SetupMissingError, match="0001_items_and_reports was edited after this ledger had it"):
        migrate(facts, [replace(first, text=first.text + " "), *others])


def test_a_ledger_of_a_newer_version_is_refused(facts):
    with pytest.raises(SetupMissingError, match="of a newer version"):
        migrate(facts, shipped_migrations()[:-1])


def test_the_ledger_must_not_be_the_maintained_database(facts, cluster, database):
    alias = replace(facts, host="localhost" if facts.host == "127.0.0.1" else "127.0.0.1", conn_id="tdev_postgres")
    with pytest.raises(SettingsError, match="the maintained database itself"):
        ensure_separate(facts, PostgresDatabase(alias))
    ensure_separate(facts, PostgresDatabase(replace(facts, schema="postgres", conn_id="tdev_postgres")))


@pytest.fixture
def poor(facts, query):
    """The connection of a role that may enter the database and nothing else."""
    query("CREATE ROLE poor LOGIN PASSWORD 'secret'")
    query(f"GRANT CONNECT ON DATABASE {facts.schema} TO poor")
    yield replace(facts, login="poor", password="secret")
    query("DROP OWNED BY poor")
    query("DROP ROLE poor")


def test_the_proof_needs_no_privilege(poor):
    with pytest.raises(SettingsError):
        ensure_separate(poor, PostgresDatabase(poor))


def test_a_role_with_the_documented_rights_can_do_everything_and_not_more(poor, query):
    query("GRANT USAGE ON SCHEMA maintenance TO poor")
    query("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA maintenance TO poor")
    query(
        "GRANT UPDATE ON maintenance.item_runs, maintenance.item_attempts, maintenance.reports, maintenance.episodes, "
        "maintenance.deliveries, maintenance.heartbeats, maintenance.leases TO poor"
    )
    query("GRANT DELETE ON maintenance.leases TO poor")
    ledger = PostgresLedger(poor)
    with ledger.lease("x", "a"):
        ran(ledger, REF, RED)
    ledger.save_report(REF, build_report(REF, RED, settings(), attempt=1, bad_since={}, now=NOON))
    ledger.save_report(REF, build_report(REF, RED, settings(), attempt=1, bad_since={}, problems=("x",), now=NOON))
    assert decide_red(ledger, REF, "report:one")
    assert decide_red(ledger, REF, "report:two")
    ledger.record_delivery(ledger.next_delivery("mail", NOON), NOON)
    ledger.record_heartbeat("daily", "tdev_daily", "run", NOON)
    ledger.record_heartbeat("daily", "tdev_daily", "run", NOON)
    with pytest.raises(AccessDeniedError):
        migrate(poor, [])


def test_what_init_left_out_is_one_sentence(database):
    ledger = PostgresLedger(facts_of(database))
    with pytest.raises(SetupMissingError, match="run `tdev init`"):
        ledger.item(REF)
    migrate(facts_of(database))
    with pytest.raises(SetupMissingError, match=r"health_check .* run `tdev init`"):
        ledger.require_setup(tier="daily", item="health_check", cron="0 9 * * *")


def test_a_ledger_that_is_not_there_is_said_at_once(facts, free_port, everything_said):
    with pytest.raises(TargetUnreachableError) as error:
        PostgresLedger(replace(facts, port=free_port)).item(REF)
    assert facts.password not in everything_said(error.value)


def test_a_ledger_that_says_nothing_costs_its_time_limit(facts, silent):
    started = time.monotonic()
    with pytest.raises(TargetTimeoutError):
        PostgresLedger(replace(facts, host=silent.host, port=silent.port)).item(REF)
    assert time.monotonic() - started < 10


def test_a_wrong_password_is_never_shown(facts, everything_said):
    wrong = "hunter2" * 2
    with pytest.raises(AccessDeniedError) as error:
        PostgresLedger(replace(facts, password=wrong)).item(REF)
    assert wrong not in everything_said(error.value)


# Views


def test_the_overview_filters_and_is_newest_first(ledger, facts):
    for number, item in enumerate(["health_check", "backup", "health_check"]):
        ref = ItemRef("daily", "tdev_daily", f"run-{number}", item)
        found = outcome(result("a.b", Verdict.CRITICAL), ended_at=NOON + timedelta(hours=number))
        ran(ledger, ref, found)
        report = build_report(ref, found, settings(), attempt=1, bad_since={"a.b": NOON}, now=found.ended_at)
        ledger.save_report(ref, report)
    views = LedgerViews(facts)
    assert [line.run_id for line in views.overview().reports] == ["run-2", "run-1", "run-0"]
    assert [line.run_id for line in views.overview(item="backup").reports] == ["run-1"]
    assert views.overview(tier="weekly").reports == ()
    assert views.overview().reports[0].bad_since == NOON
    assert views.overview().items == (("daily", "backup"), ("daily", "health_check"))
    assert views.report(report.id) == report


def test_a_check_name_may_repeat(ledger):
    twice: tuple[CheckResult, ...] = (result("a.b"), result("a.b", Verdict.CRITICAL))
    ran(ledger, REF, outcome(*twice))
    assert ledger.item(REF).results == twice


def test_samples_come_back_oldest_first_and_are_kept_once(ledger):
    for hour, size in ((2, 20), (1, 10), (3, 30)):
        ledger.keep_sample("t-developer", "sizes", Sample(NOON + timedelta(hours=hour), {"metrics": size}))
    ledger.keep_sample("t-developer", "sizes", Sample(NOON + timedelta(hours=3), {"metrics": 99}))
    ledger.keep_sample("other", "sizes", Sample(NOON + timedelta(hours=3), {"metrics": 7}))
    found = ledger.samples("t-developer", "sizes", NOON)
    assert [sample.facts["metrics"] for sample in found] == [10, 20, 30]
    assert ledger.samples("t-developer", "sizes", NOON + timedelta(hours=2), at_most=1) == found[2:]
    assert ledger.samples("t-developer", "statements", NOON) == []


def test_samples_that_are_too_old_go_of_this_system_alone(ledger):
    for system in ("t-developer", "other"):
        for hour in (1, 2, 3):
            ledger.keep_sample(system, f"kind-{hour % 2}", Sample(NOON + timedelta(hours=hour), {"metrics": hour}))
    before = NOON + timedelta(hours=2)
    counted = ledger.drop_samples("t-developer", before, dry_run=True)
    assert counted.samples == 1
    assert counted.bytes > 0
    assert ledger.drop_samples("t-developer", before, dry_run=False) == counted
    assert ledger.drop_samples("t-developer", before, dry_run=False).samples == 0
    assert len(ledger.samples("t-developer", "kind-0", NOON)) == 1, "what was taken at that moment stays"
    assert len(ledger.samples("t-developer", "kind-1", NOON)) == 1
    assert len(ledger.samples("other", "kind-1", NOON)) == 2

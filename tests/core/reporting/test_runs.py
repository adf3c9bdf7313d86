"""From an outcome to report, alerts and verdict, over a real ledger and a real spool, both of which can go down."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg
import pytest

from tdev_operators.core.errors import RedVerdictError, TargetTimeoutError
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.reporting.runs import (
    announce_missed_deadline,
    announce_unwritten_report,
    close_run,
    judge_item,
    report_item,
)
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.object_store import S3Store
from tdev_operators.hooks.resilient_ledger import ResilientLedger
from tdev_operators.hooks.spool import Spool
from tests.records import NOON, REF, BeatenHeart, MemoryChannel, facts_of, outcome, result, settings

CHECK = "database.dead_tuples"
BROKEN = outcome(result(CHECK, Verdict.CRITICAL, "31 % are dead."), result("api.latency"))
WELL = outcome(result(CHECK), result("api.latency"))


@dataclass
class House:
    """The reporting tasks of runs, each with a ledger object of its own as on a worker of its own."""

    facts: ConnectionFacts
    spool: Spool
    rules: Settings
    channels: tuple[MemoryChannel, ...]
    port_when_down: int
    objects: S3Store
    bucket: str
    down: bool = False

    @property
    def ledger(self) -> ResilientLedger:
        facts = replace(self.facts, port=self.port_when_down) if self.down else self.facts
        return ResilientLedger(PostgresLedger(facts), self.spool)

    def work(
        self, found: ItemOutcome, run: str = "run-1", *, at: datetime = NOON, item: str = "health_check"
    ) -> ItemRef:
        ref = ItemRef("daily", "tdev_daily", run, item)
        found = replace(found, started_at=at - timedelta(seconds=3), ended_at=at)
        ledger = self.ledger
        with ledger.lease(f"item:{item}", run):
            ledger.open_item(ref, found.started_at)
            ledger.close_item(ref, found)
        return ref

    def report(self, ref: ItemRef, *, at: datetime = NOON) -> dict:
        return report_item(self.ledger, self.channels, self.rules, ref, now=at)

    def run(self, found: ItemOutcome, run: str, *, at: datetime = NOON) -> dict:
        return self.report(self.work(found, run, at=at), at=at)

    def close(self, run: str = "run-1", *, at: datetime = NOON, heartbeat: Callable[[str], None] | None = None) -> dict:
        beat = heartbeat or BeatenHeart()
        return close_run(self.ledger, self.channels, self.rules, "daily", "tdev_daily", run, now=at, heartbeat=beat)

    def spooled(self) -> list[str]:
        return [info.key for info in self.objects.list(self.bucket, "t-developer/spool/")]

    def query(self, statement: str) -> list:
        facts = self.facts
        with psycopg.connect(
            host=facts.host, port=facts.port, user=facts.login, password=facts.password, dbname=facts.schema
        ) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def house(database, s3_server, bucket, free_port) -> House:
    facts = facts_of(database)
    migrate(facts)
    keys = {"login": s3_server.access_key, "password": s3_server.secret_key}
    objects = S3Store(ConnectionFacts("tdev_aws", "aws", **keys, extra={"endpoint_url": s3_server.endpoint_url}))
    channels = (MemoryChannel("mail"), MemoryChannel("slack"))
    rules = settings(reminder_after_hours=6, damping_hours=1, channels=("mail", "slack"))
    return House(facts, Spool(objects, bucket, "t-developer"), rules, channels, free_port, objects, bucket)


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as line:
        return int(line.getsockname()[1])


# All is up


def test_a_red_run_is_reported_alerted_and_judged(house):
    ref = house.work(BROKEN)
    told = house.report(ref)
    assert (told["verdict"], told["counts"]["CRITICAL"], told["alerts_sent"], told["problems"]) == (
        "CRITICAL",
        1,
        2,
        [],
    )
    mail, slack = house.channels
    assert mail.subjects == slack.subjects == ["[t-developer] CRITICAL: database.dead_tuples"]
    assert mail.messages[0].report.id == told["report_id"]
    assert house.ledger.item(ref).report_id == told["report_id"]
    with pytest.raises(RedVerdictError, match=r"health_check is CRITICAL: database.dead_tuples \(CRITICAL\); read its"):
        judge_item(house.ledger, ref)


def test_a_green_run_is_reported_and_nobody_is_disturbed(house):
    ref = house.work(outcome(result(CHECK), result("agents.size", Verdict.WARNING)))
    assert house.report(ref)["alerts_sent"] == 0
    assert judge_item(house.ledger, ref) == "health_check is WARNING: 2 checks, look at agents.size."
    assert judge_item(house.ledger, house.work(WELL, "run-2")) == "health_check is OK: 2 checks, all well."


def test_readers_get_every_report_once_and_are_not_counted_as_alerted(house):
    reader = MemoryChannel("report_readers")
    ref = house.work(WELL)
    for _ in range(2):
        told = report_item(house.ledger, house.channels, house.rules, ref, now=NOON, readers=(reader,))
    assert told["alerts_sent"] == 0
    assert [channel.messages for channel in house.channels] == [[], []]
    assert reader.subjects == ["[t-developer] health_check OK: All is well: 2 checks passed."]
    assert reader.messages[0].report.id == told["report_id"]


def test_reporting_twice_sends_once(house):
    ref = house.work(BROKEN)
    first = house.report(ref)
    second = house.report(ref, at=NOON + timedelta(minutes=5))
    assert second["report_id"] == first["report_id"]
    assert second["alerts_sent"] == 0
    assert house.query("SELECT count(*) FROM maintenance.reports") == [(1,)]


def test_two_workers_that_report_at_once_send_once(house):
    ref = house.work(BROKEN)
    with ThreadPoolExecutor(4) as workers:
        told = list(workers.map(lambda _: house.report(ref), range(4)))
    assert sum(each["alerts_sent"] for each in told) == 2
    assert [len(channel.messages) for channel in house.channels] == [1, 1]


def test_an_item_whose_task_died_is_unknown_and_reported(house):
    ref = ItemRef("daily", "tdev_daily", "run-1", "health_check")
    house.ledger.open_item(ref, NOON - timedelta(minutes=15))
    assert house.report(ref)["verdict"] == "UNKNOWN"
    assert house.channels[0].subjects == ["[t-developer] UNKNOWN: health_check.completed"]
    with pytest.raises(RedVerdictError, match=r"health_check is UNKNOWN: health_check.completed \(UNKNOWN\)"):
        judge_item(house.ledger, ref)
    house.run(WELL, "run-2", at=NOON + timedelta(hours=1))
    assert house.channels[0].subjects[1] == "[t-developer] ended: health_check.completed"


def test_an_item_that_left_no_trace_is_unknown_too(house):
    ref = ItemRef("daily", "tdev_daily", "run-1", "health_check")
    with pytest.raises(RedVerdictError, match="nothing is recorded of its end"):
        judge_item(house.ledger, ref)
    assert house.report(ref)["verdict"] == "UNKNOWN"


def test_a_trouble_is_told_once_reminded_and_ended(house):
    house.run(BROKEN, "run-1")
    house.run(BROKEN, "run-2", at=NOON + timedelta(hours=2))
    assert house.close("run-2", at=NOON + timedelta(hours=5))["alerts_sent"] == 0
    house.close("run-3", at=NOON + timedelta(hours=6))
    house.close("run-3", at=NOON + timedelta(hours=6))
    told = house.run(WELL, "run-4", at=NOON + timedelta(hours=8))
    assert told["alerts_sent"] == 2
    assert house.channels[0].subjects == [
        f"[t-developer] {word}: database.dead_tuples" for word in ("CRITICAL", "still CRITICAL", "ended")
    ]
    assert "31 % are dead." in house.channels[0].messages[1].notices[0].summary


def test_since_when_comes_from_the_ledger(house):
    house.run(BROKEN, "run-1")
    house.run(BROKEN, "run-2", at=NOON + timedelta(days=2))
    report = house.query("SELECT report ->> 'bad_since' FROM maintenance.reports ORDER BY created_at DESC LIMIT 1")
    assert report == [(NOON.isoformat(),)]


def test_a_silence_keeps_people_undisturbed_and_stands_in_the_report(house):
    silence = Silence(check="database.*", owner="Ada", reason="vacuum runs", until=NOON + timedelta(hours=1))
    house.rules = house.rules.model_copy(update={"silences": (silence,)})
    assert house.run(BROKEN, "run-1")["alerts_sent"] == 0
    assert "Silenced by Ada" in house.query("SELECT plain FROM maintenance.reports")[0][0]
    assert house.close(at=NOON + timedelta(hours=2))["alerts_sent"] == 2


def test_a_run_closes_what_its_reports_left_out(house):
    house.work(BROKEN)
    closed = house.close()
    assert (closed["reported"], closed["alerts_sent"]) == (1, 2)
    assert house.close()["reported"] == 0


def test_a_later_run_reports_what_an_older_run_left_out(house):
    house.work(BROKEN, "run-1")
    assert house.close("run-2", at=NOON + timedelta(minutes=30))["reported"] == 0
    assert house.close("run-3", at=NOON + timedelta(hours=2))["reported"] == 1


# A channel is down


def test_a_channel_that_is_down_hides_nothing_and_is_told_through_the_others(house):
    mail, slack = house.channels
    mail.down = True
    told = house.run(BROKEN, "run-1")
    assert told["verdict"] == "CRITICAL"
    assert slack.subjects == [
        "[t-developer] CRITICAL: database.dead_tuples",
        "[t-developer] CRITICAL: maintenance.channel_mail",
    ]
    assert told["problems"] == ["The alert channel mail is down: The mail server cannot be reached; look at it."]
    assert "The alert channel mail is down" in house.query("SELECT plain FROM maintenance.reports")[0][0]
    assert house.query("SELECT last_error FROM maintenance.deliveries WHERE last_error <> ''")
    mail.down = False
    house.close(at=NOON + timedelta(hours=1))
    assert sorted(mail.subjects) == [
        "[t-developer] CRITICAL: database.dead_tuples",
        "[t-developer] CRITICAL: maintenance.channel_mail",
        "[t-developer] ended: maintenance.channel_mail",
    ]
    assert slack.subjects[2:] == ["[t-developer] ended: maintenance.channel_mail"]


def test_what_no_channel_took_is_waited_for_by_the_run_and_taken_by_the_next(house):
    mail, slack = house.channels
    mail.down = slack.down = True
    ref = house.work(BROKEN)
    assert house.report(ref)["alerts_sent"] == 0
    assert house.close(at=NOON + timedelta(seconds=9))["waiting"] > 0, "the closing task has something to retry for"
    mail.down = slack.down = False
    closed = house.close("run-2", at=NOON + timedelta(days=1, seconds=30))
    assert closed["waiting"] == 0
    assert "[t-developer] CRITICAL: database.dead_tuples" in mail.subjects


def test_that_the_way_to_the_readers_is_down_is_told_through_the_channels(house):
    reader = MemoryChannel("report_readers", down=True)
    ref = house.work(WELL)
    told = report_item(house.ledger, house.channels, house.rules, ref, now=NOON, readers=(reader,))
    assert "The alert channel report_readers is down" in told["problems"][0]
    assert [channel.subjects for channel in house.channels] == [
        ["[t-developer] CRITICAL: maintenance.channel_report_readers"]
    ] * 2
    assert reader.messages == []


def test_a_spool_entry_that_the_ledger_refuses_is_told_and_kept(house):
    house.down = True
    house.report(house.work(BROKEN))
    house.down = False
    key = next(key for key in house.spooled() if key.endswith("outcome.json"))
    house.objects.write(house.bucket, key, b"{}")
    closed = house.close(at=NOON + timedelta(hours=2))
    assert "is not what the spool wrote" in closed["problems"][0]
    assert "[t-developer] UNKNOWN: maintenance.spool" in house.channels[0].subjects
    assert key in house.spooled()


def test_a_channel_with_a_defect_does_not_stop_the_others(house):
    class Defect(MemoryChannel):
        def send(self, message):
            raise ZeroDivisionError("password=secret")

    house.channels = (Defect("mail"), house.channels[1])
    told = house.run(BROKEN, "run-1")
    assert told["problems"] == [
        "The alert channel mail is down: The channel has a defect (ZeroDivisionError); report it."
    ]
    assert len(house.channels[1].messages) == 2


# The heartbeat


def test_a_run_sends_and_records_its_heartbeat(house):
    house.rules = house.rules.model_copy(
        update={"alerts": house.rules.alerts.model_copy(update={"heartbeat_url": "https://beats.example/x"})}
    )
    heart = BeatenHeart()
    assert house.close(heartbeat=heart)["problems"] == []
    assert heart.urls == ["https://beats.example/x"]
    assert house.query("SELECT tier, dag_id, run_id, beat_at FROM maintenance.heartbeats") == [
        ("daily", "tdev_daily", "run-1", NOON)
    ]


def test_a_heartbeat_that_is_not_taken_is_told_and_not_fatal(house):
    house.rules = house.rules.model_copy(
        update={"alerts": house.rules.alerts.model_copy(update={"heartbeat_url": "https://beats.example/x"})}
    )

    def late(_: str) -> None:
        raise TargetTimeoutError("The heartbeat's host did not answer.")

    assert house.close(heartbeat=late)["problems"] == ["The heartbeat's host did not answer."]
    assert house.channels[0].subjects == ["[t-developer] UNKNOWN: maintenance.heartbeat"]
    house.close("run-2", at=NOON + timedelta(hours=1), heartbeat=late)
    house.close("run-3", at=NOON + timedelta(hours=2))
    assert house.channels[0].subjects[1:] == ["[t-developer] ended: maintenance.heartbeat"]


# Deadlines


def miss(house: House, *, at: datetime, state: str = "running", deadline: datetime = NOON) -> bool:
    return announce_missed_deadline(
        house.ledger,
        house.channels,
        house.rules,
        dag_id="tdev_daily",
        run_id="run-1",
        run_state=state,
        item="health_check",
        deadline_at=deadline,
        now=at,
    )


def test_a_missed_deadline_is_told_once(house):
    late = NOON + timedelta(minutes=1)
    assert miss(house, at=late)
    assert not miss(house, at=late)
    assert house.channels[0].subjects == ["[t-developer] CRITICAL: health_check.deadline"]
    assert "should have ended by 2026-11-23 12:00 UTC and has not" in house.channels[0].messages[0].notices[0].summary


def test_a_deadline_of_a_failed_run_or_of_an_item_that_ended_in_time_is_silent(house):
    assert not miss(house, at=NOON, state="failed")
    house.work(WELL, at=NOON)
    assert not miss(house, at=NOON + timedelta(minutes=1))
    house.work(BROKEN, at=NOON + timedelta(hours=1))  # the run was cleared later
    assert not miss(house, at=NOON + timedelta(hours=2))
    assert house.channels[0].messages == []


def test_an_item_that_ended_late_is_told_with_its_end(house):
    house.work(WELL, at=NOON + timedelta(minutes=5))
    assert miss(house, at=NOON + timedelta(minutes=6))
    assert "it did at 2026-11-23 12:05 UTC" in house.channels[0].messages[0].notices[0].summary


def test_an_older_deadline_is_told_although_a_later_one_was(house):
    miss(house, at=NOON, deadline=NOON)
    older = {"dag_id": "tdev_daily", "run_state": "running", "item": "health_check", "now": NOON}
    assert announce_missed_deadline(
        house.ledger, house.channels, house.rules, run_id="run-0", deadline_at=NOON - timedelta(hours=1), **older
    )
    assert len(house.channels[0].messages) == 2


def test_a_deadline_with_the_ledger_down_is_told_with_the_doubt(house):
    house.down = True
    assert miss(house, at=NOON)
    assert "whether it did is not known: The ledger is down" in house.channels[0].messages[0].notices[0].summary


# The ledger is down


def test_a_run_without_the_ledger_works_on_the_spool(house):
    house.down = True
    ref = house.work(BROKEN)
    told = house.report(ref)
    assert told["verdict"] == "CRITICAL"
    assert told["problems"][0].startswith("The outcome of health_check waited in the spool.")
    assert any(problem.startswith("The ledger is down:") for problem in told["problems"])
    message = house.channels[0].messages[0]
    assert [notice.check for notice in message.notices] == [CHECK, "maintenance.ledger"]
    assert "The ledger is down" in " ".join(message.report.problems)
    with pytest.raises(RedVerdictError, match=r"health_check is CRITICAL: database\.dead_tuples"):
        judge_item(house.ledger, ref)
    assert {key.rpartition("/")[2] for key in house.spooled()} == {"outcome.json", "report.json", "told.json"}


def test_a_good_run_without_the_ledger_is_green_and_says_that_the_ledger_is_down(house):
    house.down = True
    ref = house.work(WELL)
    assert house.report(ref)["verdict"] == "OK"
    assert house.channels[0].subjects == ["[t-developer] UNKNOWN: maintenance.ledger"]
    assert judge_item(house.ledger, ref).startswith("health_check is OK")


def test_what_was_spooled_is_replayed_once_and_nothing_is_told_twice(house):
    house.down = True
    house.report(house.work(BROKEN, "run-1"))
    house.close("run-1")
    house.down = False
    closed = house.close("run-2", at=NOON + timedelta(hours=2))
    assert (closed["replayed"], closed["problems"]) == (1, [])
    assert house.spooled() == []
    assert house.channels[0].subjects == [
        "[t-developer] CRITICAL: database.dead_tuples and 1 more notice",
        "[t-developer] ended: maintenance.ledger",
    ]
    assert house.query("SELECT check_name, told FROM maintenance.episodes") == [(CHECK, "open")]
    assert house.query("SELECT count(*) FROM maintenance.reports") == [(1,)]
    assert house.close("run-3", at=NOON + timedelta(hours=3))["replayed"] == 0
    house.run(WELL, "run-4", at=NOON + timedelta(hours=4))
    assert house.channels[0].subjects[2:] == ["[t-developer] ended: database.dead_tuples"]


def test_an_end_that_nobody_could_tell_is_told_at_the_replay(house):
    house.run(BROKEN, "run-1")
    house.down = True
    house.report(house.work(WELL, "run-2", at=NOON + timedelta(hours=1)), at=NOON + timedelta(hours=1))
    house.down = False
    house.close("run-3", at=NOON + timedelta(hours=2))
    assert "[t-developer] ended: database.dead_tuples" in house.channels[0].subjects


def test_a_replay_that_is_repeated_after_a_crash_changes_nothing(house):
    house.down = True
    house.report(house.work(BROKEN, "run-1"))
    house.down = False
    replay = house.ledger.replay()
    next(replay)
    replay.close()  # the worker dies before the folder is forgotten
    assert house.spooled()
    assert house.close("run-2", at=NOON + timedelta(hours=1))["replayed"] == 1
    assert house.query("SELECT count(*) FROM maintenance.item_attempts") == [(1,)]
    assert house.spooled() == []


def test_an_outcome_that_only_the_spool_has_is_found_when_the_ledger_is_back(house):
    house.down = True
    ref = house.work(BROKEN)
    house.down = False
    told = house.report(ref)
    assert told["verdict"] == "CRITICAL"
    assert told["problems"][0].startswith("The outcome of health_check waited in the spool. The ledger is down")
    assert house.ledger.item(ref).report_id == told["report_id"]
    assert house.close(at=NOON + timedelta(minutes=1))["replayed"] == 0  # it was told with the report already
    assert house.spooled() == []


def test_an_outcome_that_nobody_reported_is_reported_at_the_replay(house):
    house.down = True
    house.work(BROKEN, "run-1")
    house.down = False
    house.close("run-2", at=NOON + timedelta(minutes=1))
    assert house.channels[0].subjects[0] == "[t-developer] CRITICAL: database.dead_tuples and 1 more notice"
    assert house.query("SELECT count(*) FROM maintenance.reports") == [(1,)]


def test_an_end_in_a_ledger_that_went_down_is_not_called_missing(house):
    ref = house.work(WELL)
    house.down = True
    told = house.report(ref)
    assert told["verdict"] == "UNKNOWN"
    message = house.channels[0].messages[0]
    assert message.notices[0].summary == "Nobody can say how health_check ended: its outcome is out of reach."
    with pytest.raises(RedVerdictError, match="health_check is UNKNOWN: The ledger is down"):
        judge_item(house.ledger, ref)
    assert not any("outcome" in key or "report" in key for key in house.spooled())
    house.down = False
    house.close("run-2", at=NOON + timedelta(hours=2))
    assert house.query("SELECT report ->> 'verdict' FROM maintenance.reports") == [("OK",)]


def test_a_garbled_spool_entry_is_named_and_does_not_block_the_others(house):
    house.objects.write(house.bucket, "t-developer/spool/20200101T000000000000-0000000000000000/outcome.json", b"{not")
    house.down = True
    house.report(house.work(BROKEN, "run-1"))
    house.down = False
    closed = house.close("run-2", at=NOON + timedelta(hours=1))
    assert house.query("SELECT count(*) FROM maintenance.reports") == [(1,)]
    assert ["is not what the spool wrote" in problem for problem in closed["problems"]] == [True]


def test_with_ledger_and_spool_down_people_are_told_and_the_verdict_is_red(house):
    house.down = True
    house.spool = Spool(
        S3Store(
            ConnectionFacts(
                "tdev_aws",
                "aws",
                login="a",
                password="b",
                extra={"endpoint_url": f"http://127.0.0.1:{house.port_when_down}"},
            )
        ),
        house.bucket,
        "t-developer",
    )
    ref = ItemRef("daily", "tdev_daily", "run-1", "health_check")
    assert house.report(ref)["verdict"] == "UNKNOWN"
    assert house.channels[0].subjects == ["[t-developer] UNKNOWN: health_check.completed and 1 more notice"]
    with pytest.raises(RedVerdictError, match="Nobody can say how health_check ended"):
        judge_item(house.ledger, ref)
    assert house.close()["problems"]


def test_a_report_that_could_not_be_written_is_told_without_any_store():
    mail, broken = MemoryChannel("mail"), MemoryChannel("slack", down=True)
    rules = settings()
    assert announce_unwritten_report([broken, mail], rules, REF, error="boom", clock=lambda: NOON)
    assert mail.subjects == ["[t-developer] UNKNOWN: health_check.report"]
    assert not announce_unwritten_report([broken], rules, REF, error="boom", clock=lambda: NOON)

"""A drill on a real set: a disposable PostgreSQL, the stand-in application, scratch objects, sabotage."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tdev_operators.core.backup.proof import sabotage
from tdev_operators.core.backup.proof.mutants import MUTANTS, DatabaseMutant
from tdev_operators.core.drill import clean_room
from tdev_operators.core.drill.conclude import conclude
from tdev_operators.core.drill.drill import CLEARED, REHEARSED
from tdev_operators.core.drill.due import due_outcome
from tdev_operators.core.drill.told import results_of
from tdev_operators.core.errors import AccessDeniedError, InputError, ProofFailedError
from tdev_operators.core.verdicts import CheckResult, Verdict
from tests.core.backup.whole_sets import summary, verdicts
from tests.seeded import drawn

ALL_OK = dict.fromkeys(
    (
        *("drill.databases", "drill.objects", "drill.references", "drill.application", "drill.health"),
        *("drill.sabotage", "drill.rto", "drill.rpo", "drill.heartbeat", "drill.forecast", "drill.approval"),
        *("drill.leftovers", "drill.evidence"),
    ),
    "OK",
)
PHASES = {"server", "globals", "data", "verify", "analyze", "buckets", "references", "application"}


def told(rehearsed, drill):
    return results_of(drill.journal, rehearsed.settings.drill, (), [])


def test_everything_is_restored_used_timed_sabotaged_and_removed(rehearsed):
    said = []
    with rehearsed.drill(progress=said.append) as drill:
        outcome, sealed = rehearsed.hold(drill)
    assert verdicts(outcome.results) == ALL_OK, [one.summary for one in outcome.results if one.verdict != "OK"]
    evidence = sealed.evidence
    assert evidence.proven
    assert evidence.phases.keys() >= PHASES
    assert all(seconds >= 0 for seconds in evidence.phases.values())
    assert (evidence.asked_by, evidence.approved_by) == ("lead", ("deputy",))
    assert evidence.rows > 0
    assert evidence.objects > 0
    assert "it was stopped and resumed over the API, and read back each time" in summary(
        outcome.results, "drill.application"
    )
    assert any("sabotage" in line for line in said)


@pytest.mark.faults
def test_each_evidence_is_bound_to_the_one_before_and_none_can_be_changed(rehearsed):
    house = rehearsed.house
    sealed = []
    for _ in range(2):
        with rehearsed.drill() as drill:
            sealed.append(rehearsed.hold(drill)[1])
            chain = drill.chain
    first, second = sealed
    assert second.evidence.number == first.evidence.number + 1
    assert second.evidence.previous_sha256 == first.sha256
    key = chain.key_of(first.evidence.number)
    true = house.read(key)
    house.write(key, true.replace(b'"asked_by": "lead"', b'"asked_by": "root"'))
    try:
        with rehearsed.drill() as drill:
            with pytest.raises(ProofFailedError, match="does not follow the one before it"):
                drill.chain.read()
            outcome, nothing = rehearsed.hold(drill)
            found = due_outcome(drill._ports, rehearsed.settings, lambda: datetime.now(UTC), "link")
        assert nothing is None
        assert verdicts(outcome.results)["drill.evidence"] == "CRITICAL"
        assert [one.check for one in found.results] == ["drill.evidence"]
    finally:
        house.write(key, true)
    with rehearsed.drill() as drill:
        assert len(drill.chain.read()) == second.evidence.number


def test_a_removed_evidence_is_missed(rehearsed):
    for _ in range(2):
        with rehearsed.drill() as drill:
            drill.intend()
            conclude(drill, rehearsed.settings, datetime.now(UTC), datetime.now(UTC), alone=True)
    key = drill.chain.key_of(1)
    true = rehearsed.house.read(key)
    rehearsed.house.client.delete_object(Bucket=rehearsed.settings.buckets.backups, Key=key)
    try:
        with rehearsed.drill() as drill, pytest.raises(ProofFailedError, match="is missing; somebody removed it"):
            drill.chain.read()
    finally:
        rehearsed.house.write(key, true)


def test_the_same_drill_has_one_evidence_however_often_it_is_concluded(rehearsed):
    request = rehearsed.request()
    with rehearsed.drill(request) as drill:
        drill.intend()
        drill.note_refusal("deputy rejected it.")
        now = datetime.now(UTC)
        first = conclude(drill, rehearsed.settings, now, now, alone=True)
    with rehearsed.drill(request) as drill:
        again = conclude(drill, rehearsed.settings, now, datetime.now(UTC), alone=True)
    assert again[1] == first[1]
    assert verdicts(first[0].results)["drill.rehearsal"] == "UNKNOWN"
    assert summary(first[0].results, "drill.rehearsal") == "Not rehearsed: deputy rejected it."
    assert not first[1].evidence.proven


@pytest.mark.parametrize("people", [[], ["lead"], ["somebody"]])
def test_a_drill_needs_another_persons_approval(rehearsed, people):
    with rehearsed.drill() as drill, pytest.raises(AccessDeniedError, match="needs 1 approval"):
        drill.note_approvals(people)


@pytest.mark.faults
def test_without_an_approval_nothing_is_rehearsed_and_from_a_shell_it_does_not_count(rehearsed):
    with rehearsed.drill() as drill:
        drill.intend()
        with pytest.raises(AccessDeniedError, match="needs 1 approval"):
            drill.rehearse()
    now = datetime.now(UTC)
    with rehearsed.drill(rehearsed.request(approved=False)) as drill:
        drill.intend()
        drill.rehearse()
        outcome, sealed = conclude(drill, rehearsed.settings, now, datetime.now(UTC), alone=True)
    assert verdicts(outcome.results)["drill.approval"] == "WARNING"
    assert not sealed.evidence.proven


@pytest.mark.faults
def test_the_newest_evidence_is_held_against_the_ledger(rehearsed):
    with rehearsed.drill() as drill:
        _, sealed = rehearsed.hold(drill)
        known = {sealed.evidence.number: sealed.sha256}
        key = drill.chain.key_of(sealed.evidence.number)
        true = rehearsed.house.read(key)
        rehearsed.house.write(key, true.replace(b'"deputy"', b'"nobody"'))
        try:
            assert len(drill.chain.read()) == sealed.evidence.number, "the chain alone cannot see its last link"
            with pytest.raises(ProofFailedError, match="is not what it was: the ledger knows"):
                drill.chain.read(known)
        finally:
            rehearsed.house.write(key, true)
        with pytest.raises(ProofFailedError, match="was removed"):
            drill.chain.read({sealed.evidence.number + 1: "abc"})


@pytest.mark.faults
def test_a_drill_that_is_cleared_and_ends_well_says_so_anew(rehearsed):
    request = rehearsed.request()
    now = datetime.now(UTC)
    with rehearsed.drill(request) as drill:
        drill.intend()
        drill.note_approvals(["deputy"])
        _, failed = conclude(drill, rehearsed.settings, now, now, alone=True)
    with rehearsed.drill(request) as drill:
        outcome, proven = rehearsed.hold(drill)
    assert not failed.evidence.proven
    assert proven.evidence.proven
    assert proven.evidence.number == failed.evidence.number + 1
    assert outcome.verdict == "OK"


def test_without_an_intent_nothing_is_made(rehearsed):
    with rehearsed.drill() as drill:
        with pytest.raises(InputError, match="no intent"):
            drill.rehearse()
        assert drill.clear() == 0
        assert drill.journal.entries == ()


def test_a_damaged_dump_is_critical_and_ends_as_evidence(rehearsed):
    house = rehearsed.house
    newest = house.sets()[0]
    file = max(newest.manifest.databases[0].files, key=lambda each: each.size_bytes)
    key = f"{house.name}/{newest.set_id}/{file.key}"
    true = house.read(key)
    house.write(key, true[:-20] + bytes([true[-20] ^ 1]) + true[-19:])
    try:
        with rehearsed.drill() as drill:
            drill.intend()
            drill.note_approvals(["deputy"])
            with pytest.raises(ProofFailedError):
                drill.rehearse()
            drill.clear()
            now = datetime.now(UTC)
            outcome, sealed = conclude(drill, rehearsed.settings, now, now, alone=True)
    finally:
        house.write(key, true)
    assert verdicts(outcome.results)["drill.rehearsal"] == "CRITICAL"
    assert not sealed.evidence.proven


def test_a_mutant_that_nobody_notices_is_critical(rehearsed, monkeypatch):
    monkeypatch.setattr(sabotage, "compare", lambda *_: ())
    turn = next(at for at, mutant in enumerate(MUTANTS) if isinstance(mutant, DatabaseMutant))
    monkeypatch.setattr(clean_room, "feed_one", lambda judge, _turn, *rest: sabotage.feed_one(judge, turn, *rest))
    with rehearsed.drill() as drill:
        outcome, _ = rehearsed.hold(drill)
    assert verdicts(outcome.results)["drill.sabotage"] == "CRITICAL"
    assert "NOT noticed" in summary(outcome.results, "drill.sabotage")


@pytest.mark.seeded
@pytest.mark.parametrize(
    ("application", "says"),
    drawn(
        "drill without an application",
        [
            ({"argv": ()}, "No application is named"),
            (
                {"argv": (sys.executable, "-c", "raise SystemExit('the schema is too old')")},
                "ended with status 1: the sch",
            ),
            ({"argv": ("/nowhere/api",)}, "/nowhere/api"),
            (
                {"argv": (sys.executable, "-c", "import time; time.sleep(60)"), "seconds": 2},
                "did not come up within 2 s",
            ),
            (
                {"argv": (sys.executable, "-m", "http.server", "{port}"), "ready_path": "/"},
                "GET /api/evolution/status answered 404",
            ),
        ],
    ),
)
def test_without_a_running_application_nothing_was_recovered(rehearsed, application, says):
    rehearsed.application = application
    with rehearsed.drill() as drill:
        outcome, sealed = rehearsed.hold(drill)
    found = verdicts(outcome.results)
    assert found["drill.application"] == "CRITICAL"
    assert found["drill.rto"] == "UNKNOWN"
    assert found["drill.health"] == "UNKNOWN"
    assert says in summary(outcome.results, "drill.application")
    assert not sealed.evidence.proven


@pytest.mark.seeded
@pytest.mark.parametrize(
    ("noted", "verdict"),
    [
        (CheckResult("drill.failover", Verdict.CRITICAL, "Nobody could fail over."), "CRITICAL"),
        (None, "UNKNOWN"),
    ],
)
def test_a_failover_that_could_not_be_or_was_not_looked_at_is_no_green_drill(rehearsed, noted, verdict):
    now = datetime.now(UTC)
    with rehearsed.drill() as drill:
        drill.intend()
        drill.note_approvals(["deputy"])
        drill.rehearse()
        if noted:
            drill.note_failover(noted)
        outcome, sealed = conclude(drill, rehearsed.settings, now, now, alone=True, failover=True)
    assert verdicts(outcome.results)["drill.failover"] == verdict
    assert not sealed.evidence.proven


@pytest.mark.faults
def test_the_objectives_are_held_against_what_was_measured(rehearsed):
    with rehearsed.drill() as drill:
        rehearsed.hold(drill)
        strict = {"rto_minutes": 1e-3, "rpo_hours": 1e-9}
        rules = rehearsed.settings.drill.model_copy(update=strict)
        from tdev_operators.core.drill.told import set_sizes

        results = results_of(drill.journal, rules, (), set_sizes(drill.repository))
    found = verdicts(results)
    assert {found[name] for name in ("drill.rto", "drill.rpo", "drill.forecast")} == {"CRITICAL"}


def test_the_heartbeat_is_held_against_the_recovery_point(rehearsed):
    facts = {"table": "metrics", "column": "timestamp", "silence_minutes": 180.0}
    rules = rehearsed.settings.drill
    with rehearsed.drill() as drill:
        rehearsed.hold(drill)
        seen = dict(drill.journal.done(REHEARSED))
        point = datetime.fromisoformat(drill.journal.done("set")["recovery_point"])
        for newest, verdict in (
            (point - timedelta(hours=1), "OK"),
            (point - timedelta(hours=4), "WARNING"),
            (point + timedelta(hours=4), "CRITICAL"),
            (None, "UNKNOWN"),
        ):
            drill.journal.note(REHEARSED, "done", **{**seen, "heartbeat_at": newest and newest.isoformat()})
            changed = rules.model_copy(update={"heartbeat": rules.heartbeat.model_copy(update=facts)})
            assert verdicts(results_of(drill.journal, changed, (), []))["drill.heartbeat"] == verdict


def test_a_table_that_is_not_there_has_no_heartbeat(rehearsed):
    heartbeat = rehearsed.settings.drill.heartbeat.model_copy(update={"table": "nowhere.pulse"})
    rehearsed.changes = {"heartbeat": heartbeat}
    with rehearsed.drill() as drill:
        outcome, _ = rehearsed.hold(drill)
    assert verdicts(outcome.results)["drill.heartbeat"] == "UNKNOWN"


KILLED = """
import json, sys
from tdev_operators.core.drill.drill import Drill, DrillRequest
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.drill_assembly import drill_ports
from tdev_operators.core.settings import load_settings

settings = load_settings()
settings = settings.model_copy(update={"system": settings.system.model_copy(update={"name": sys.argv[1]})})
with drill_ports(settings, EnvironmentConnections()) as ports:
    drill = Drill(ports, settings, DrillRequest(sys.argv[2], "lead"), progress=lambda line: print(line, flush=True))
    drill.intend()
    drill.note_approvals(["deputy"])
    print("begun", flush=True)
    drill.rehearse()
"""


def begun_and_killed(rehearsed, request, after):
    """Hold a drill in another process and kill it when it says `after`."""
    environment = {**os.environ, **rehearsed.house.system.environment}
    argv = [sys.executable, "-c", KILLED, rehearsed.house.name, request.recovery_id]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if after in line:
                break
        else:
            raise AssertionError(f"it ended without saying {after!r}")
        children = descendants(child.pid)
        child.send_signal(signal.SIGKILL)
    return children


def descendants(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(stat.parent.name), *descendants(int(stat.parent.name))]
    return found


def gone(pids, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        alive = [
            pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        if not alive:
            return True
        time.sleep(0.2)
    return False


MOMENTS = ["begun", "server:", "restoring", "verify:", "buckets:", "sabotage", "application:"]


@pytest.mark.parametrize("after", drawn("drill killed", MOMENTS))
def test_a_killed_drill_leaves_nothing_and_its_retry_ends_proven(rehearsed, after, record):
    request = rehearsed.request()
    children = begun_and_killed(rehearsed, request, after)
    assert gone(children), "server and application went with the process"
    with rehearsed.drill(request) as drill:
        assert drill.journal.done(REHEARSED) is None
        outcome, sealed = rehearsed.hold(drill)
    assert sealed.evidence.proven, json.dumps(verdicts(outcome.results))
    assert drill.journal.done(CLEARED)
    record("drill: kill -9", f"after it said «{after}»", "its retry ended PROVEN, nothing is left")


@pytest.mark.faults
def test_the_next_drill_removes_what_a_dead_one_left(rehearsed):
    dead = rehearsed.request()
    begun_and_killed(rehearsed, dead, "sabotage")
    assert rehearsed.scratch_objects() != []
    with rehearsed.drill() as drill:
        drill.intend()
        now = datetime.now(UTC)
        from_the_shell, _ = conclude(drill, rehearsed.settings, now, now, alone=False)
        assert "drill.swept" not in verdicts(from_the_shell.results), "it may be alive: it wrote today"
        outcome, _ = conclude(drill, rehearsed.settings, now, now, alone=True)
    assert dead.recovery_id in summary(outcome.results, "drill.swept")
    assert rehearsed.scratch_objects() == []

"""A run over a real registry and a real bucket: written, registered, taken back; killed anywhere and made good."""

import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from sandbox.agent_sources import agent_source
from sandbox.aws import ControlPlanes
from sandbox.object_store import s3_client
from tdev_operators.core.agents import workers
from tdev_operators.core.agents.confinement.house import Held
from tdev_operators.core.agents.confinement.probes import BARRIERS
from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.agents.run import Run, optimise_agents, take_back
from tdev_operators.core.agents.undo_store import Change, UndoStore, sha256
from tdev_operators.core.agents.workers import Workers
from tdev_operators.core.errors import GarbledAnswerError, ProofFailedError, TargetUnreachableError
from tdev_operators.core.ports import HttpAnswer
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.agent_bucket import S3SourceBucket
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres import PostgresDatabase
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.core.agents.conftest import rules_with
from tests.records import facts_of

SCHEMA = (Path(__file__).parents[3] / "sandbox" / "schema.sql").read_text()
RUN = "agents-run-1"
# In these agents are really tried.
WHOLE = (
    "test_an_agent_is_written_registered_and_kept_and_taken_back",
    "test_where_a_barrier_is_missing_nothing_is_executed",
    "test_what_time_did_not_suffice_for_is_told",
    "test_a_worker_that_breaks_costs_one_agent",
    "test_whoever_gives_up_in_between_leaves_no_process_and_waits_for_no_other_agent",
)


class Killed(BaseException):
    """The worker died here."""


class Api:
    """The evolution's API, with nothing behind it."""

    def __init__(self):
        self.state, self.asked, self.deaf = "running", [], False

    def get(self, _):
        return HttpAnswer(200, json.dumps({"status": self.state}).encode(), "application/json", 0.0)

    def post(self, path):
        self.asked.append(path)
        if not self.deaf:
            self.state = "stopped" if path.endswith("stop") else "running"
        return HttpAnswer(200, b"{}", "application/json", 0.0)


class Dying:
    """A port that dies before or after its n-th call, whatever that is."""

    calls = 0

    def __init__(self, port, world):
        self._port, self._world = port, world

    def __getattr__(self, name):
        attribute = getattr(self._port, name)
        if not callable(attribute) or name in ("list", "find", "read_many", "get", "session"):
            return attribute

        def call(*args, **options):
            self._world.calls += 1
            step = self._world.calls
            if self._world.dies == (step, "before"):
                raise Killed
            answer = attribute(*args, **options)
            if self._world.dies == (step, "after"):
                raise Killed
            return answer

        return call


class World:
    """A registry, two buckets, and what was journalled."""

    def __init__(self, database, facts, client):
        self.database, self.facts, self.client = database, facts, client
        self.agents, self.backups = (f"test-{secrets.token_hex(6)}" for _ in range(2))
        for bucket in (self.agents, self.backups):
            client.create_bucket(Bucket=bucket)
        self.api, self.journal, self.told = Api(), [], []
        self.dies, self.calls = None, 0
        self.rules = rules_with(at_once=1, calls=8)
        self.now = datetime.now(UTC)
        with psycopg.connect(**database, autocommit=True) as sql:
            if sql.execute("SELECT to_regclass('agents')").fetchone() == (None,):
                sql.execute(SCHEMA)

    @property
    def settings(self):
        shipped = load_settings(include_dir() / "tdev.toml")
        buckets = shipped.buckets.model_copy(update={"agents": self.agents, "backups": self.backups})
        return shipped.model_copy(
            update={"buckets": buckets, "agents": shipped.agents.model_copy(update={"optimiser": self.rules})}
        )

    @property
    def ports(self):
        facts = facts_of(self.database)
        return AgentPorts(
            system=SimpleNamespace(
                database=PostgresDatabase(facts, connect_timeout_seconds=5, statement_timeout_seconds=10)
            ),
            database=PostgresSource(facts),
            store=Dying(S3BackupStore(self.facts, patience_seconds=2), self),
            sources=Dying(S3SourceBucket(self.facts), self),
            api=Dying(self.api, self),
            clock=lambda: self.now,
        )

    def run(self, run_id=RUN, **more):
        def note(event, facts):
            self.calls += 1
            self.journal.append((event, dict(facts)))
            if self.dies == (self.calls, "before"):
                raise Killed

        return Run(run_id, note=note, progress=self.told.append, **more)

    def optimise(self, **more):
        return optimise_agents(self.ports, self.settings, self.run(**more))

    def add(self, number=1, size=6300, source=None):
        made = agent_source("run", number, size)
        body = (source or made.source).encode()
        self.put(made.name, body)
        with self.sql() as sql:
            [agent_id] = sql.execute(
                "INSERT INTO agents (id, name, version, size_kb, instantiation_us, fitness_score) "
                "VALUES (gen_random_uuid(), %s, '1.0.0', %s, 1, 0.5) RETURNING id",
                (made.name, round(len(body) / 1024, 3)),
            ).fetchone()
            sql.execute(
                "INSERT INTO agent_versions VALUES (%s, 1, %s, '{first version}', true)", (agent_id, sha256(body))
            )
        return made.name

    def put(self, name, body):
        self.client.put_object(
            Bucket=self.agents,
            Key=f"{name}/1.0.0.py",
            Body=body,
            ContentType="text/x-python",
            Metadata={"by": "engine"},
        )

    def stored(self, name):
        return self.client.get_object(Bucket=self.agents, Key=f"{name}/1.0.0.py")["Body"].read()

    def row(self, name):
        with self.sql() as sql:
            return sql.execute(
                "SELECT size_kb::float8, array_agg(code_hash ORDER BY version_number), "
                "array_agg(is_stable ORDER BY version_number) "
                "FROM agents JOIN agent_versions ON agent_id = id WHERE name = %s GROUP BY id",
                (name,),
            ).fetchone()

    def agrees(self, name):
        """Whether bucket and registry tell of the same source."""
        size, hashes, _ = self.row(name)
        body = self.stored(name)
        return size == round(len(body) / 1024, 3) and hashes[-1] == sha256(body)

    def pending(self):
        return [info.key for info in self.ports.store.list(self.backups, "t-developer/agents-undo/pending/")]

    def sql(self):
        return psycopg.connect(**self.database, autocommit=True)


@pytest.fixture(scope="module")
def planes(supervisor):
    planes = ControlPlanes(supervisor, name="agents-moto").start()
    yield planes
    planes.stop()


@pytest.fixture
def heeding(database, planes):
    """A store that keeps its word on If-Match."""
    return World(database, *_way_to(planes.endpoint_url, "test", "test"))


@pytest.fixture
def ignoring(database, s3_server):
    """A store that writes whatever the condition says."""
    return World(database, *_way_to(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key))


@pytest.fixture(autouse=True)
def _quick(request, monkeypatch):
    """Let agents be made smaller without trying them, in tests that are about writing."""
    if request.function.__name__ not in WHOLE:
        _without_confinement(monkeypatch)


def _way_to(endpoint, login, password):
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    return ConnectionFacts("tdev_aws", "aws", login=login, password=password, extra=extra), s3_client(
        endpoint, login, password
    )


def test_the_probe_knows_one_store_from_the_other(heeding, ignoring):
    assert heeding.ports.sources.heeds_conditions(heeding.backups, "x/") is True
    assert ignoring.ports.sources.heeds_conditions(ignoring.backups, "x/") is False
    for world in (heeding, ignoring):
        assert list(world.ports.store.list(world.backups, "x/")) == []


def test_an_agent_is_written_registered_and_kept_and_taken_back(heeding):
    world = heeding
    name, small = world.add(1), world.add(2, size=3000)
    former, quiet = world.stored(name), world.stored(small)
    confined, result = world.optimise()
    assert (confined.verdict, result.verdict) == (Verdict.OK, Verdict.OK), result
    figures = {one.name: one.value for one in result.measurements}
    assert (figures["agents above the limit"], figures["written"], figures["left alone"]) == (1, 1, 0)
    assert "answers the same over" in result.details[0]
    after = world.stored(name)
    assert len(after) <= 6.0 * 1024 < len(former)
    assert world.agrees(name)
    _, hashes, stable = world.row(name)
    assert hashes[:-1] == [sha256(former)]
    assert stable == [True, True]
    head = world.client.head_object(Bucket=world.agents, Key=f"{name}/1.0.0.py")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-python", {"by": "engine"})
    assert world.stored(small) == quiet
    assert world.pending() == []
    assert world.api.asked == []
    assert [event for event, _ in world.journal] == ["agent_write"]
    assert "def " not in json.dumps(world.journal)

    assert world.optimise()[1].measurements[0].value == 0  # nothing is left to do

    told, count = take_back(world.ports, world.settings, RUN, world.run("undo-1", write=False))
    assert (count, world.stored(name)) == (1, after)
    told, count = take_back(world.ports, world.settings, name, world.run("undo-1"))
    assert (told, count) == ({f"{name} 1.0.0": ""}, 1)
    assert world.stored(name) == former
    assert world.agrees(name)
    assert len(world.row(name)[1]) == 3
    told, _ = take_back(world.ports, world.settings, RUN, world.run("undo-2"))
    assert "already" in told[f"{name} 1.0.0"]
    assert take_back(world.ports, world.settings, "nobody", world.run("undo-3")) == ({}, 0)


def test_what_somebody_else_wrote_is_not_taken_back(heeding):
    name = heeding.add(1)
    heeding.optimise()
    heeding.put(name, b"x = 1\n")
    told, _ = take_back(heeding.ports, heeding.settings, name, heeding.run("undo-1"))
    assert told == {f"{name} 1.0.0": "somebody else wrote it since"}
    assert heeding.stored(name) == b"x = 1\n"


def test_where_conditions_are_ignored_nothing_is_written_unless_the_evolution_may_be_paused(ignoring):
    world = ignoring
    name = world.add(1)
    former = world.stored(name)
    _, result = world.optimise()
    assert result.verdict is Verdict.WARNING
    assert "pause_evolution = false" in result.summary
    assert (world.stored(name), world.api.asked, world.pending()) == (former, [], [])

    world.rules = world.rules.model_copy(update={"pause_evolution": True})
    _, result = world.optimise()
    assert result.verdict is Verdict.OK, result
    assert world.agrees(name)
    assert world.stored(name) != former
    assert [path.rpartition("/")[2] for path in world.api.asked] == ["stop", "resume"]
    assert world.api.state == "running"
    assert world.pending() == []


def test_an_evolution_that_stood_before_stays_as_it_was(ignoring):
    ignoring.api.state = "stopped"
    ignoring.rules = ignoring.rules.model_copy(update={"pause_evolution": True})
    name = ignoring.add(1)
    assert ignoring.optimise()[1].verdict is Verdict.OK
    assert ignoring.agrees(name)
    assert (ignoring.api.asked, ignoring.api.state) == ([], "stopped")


def test_an_evolution_that_does_not_stop_lets_nothing_be_written(ignoring):
    ignoring.api.deaf = True
    ignoring.rules = ignoring.rules.model_copy(update={"pause_evolution": True})
    name = ignoring.add(1)
    former = ignoring.stored(name)
    with pytest.raises(ProofFailedError, match="is 'running' and not 'stopped'"):
        ignoring.optimise()
    assert ignoring.stored(name) == former


def test_by_the_settings_nothing_is_written(heeding):
    heeding.rules = heeding.rules.model_copy(update={"write_back": False})
    name = heeding.add(1)
    former = heeding.stored(name)
    _, result = heeding.optimise()
    assert result.verdict is Verdict.WARNING
    assert "1 of them are not written" in result.summary
    assert heeding.stored(name) == former


@pytest.mark.parametrize("who", ["bucket", "registry"])
def test_what_changes_while_it_is_tried_wins(heeding, monkeypatch, who):
    world = heeding
    name = world.add(1)
    former = world.stored(name)
    real = Workers.each

    def each(self, sources, **more):
        yield from real(self, sources, **more)
        if who == "bucket":
            world.put(name, b"y = 2\n")
        else:
            with world.sql() as sql:
                sql.execute("UPDATE agents SET fitness_score = 0.9, updated_at = clock_timestamp()")

    monkeypatch.setattr(Workers, "each", each)
    _, result = world.optimise()
    assert result.verdict is Verdict.WARNING
    assert "changed while it was tried" in result.summary
    assert world.stored(name) == (b"y = 2\n" if who == "bucket" else former)
    assert len(world.row(name)[1]) == 1
    assert world.pending() == []


@pytest.mark.parametrize("kind", ["heeding", "ignoring"])
@pytest.mark.parametrize("step", range(1, 15))
@pytest.mark.seeded(3)
def test_killed_at_any_moment_the_next_run_makes_it_good(request, kind, step):
    world = request.getfixturevalue(kind)
    world.rules = world.rules.model_copy(update={"pause_evolution": True})
    for number, when in enumerate(("before", "after")):
        name = world.add(number + 1)
        former = world.stored(name)
        world.dies, world.calls = (step, when), 0
        try:
            world.optimise()
        except Killed:
            assert world.agrees(name) or world.pending(), "whoever dies in between leaves a mark"
        world.dies = None
        _, result = world.optimise(run_id="agents-run-2")
        assert result.verdict is Verdict.OK, result
        assert world.agrees(name)
        assert world.stored(name) != former
        assert world.pending() == []
        assert world.api.state == "running"
        [change] = UndoStore(world.ports.store, world.settings).of(name)
        assert change.former == former


def test_what_died_between_and_was_changed_by_others_stays_theirs(heeding):
    heeding.rules = heeding.rules.model_copy(update={"write_back": False})  # only what died is made good
    name = heeding.add(1)
    change = _change(heeding, name)
    UndoStore(heeding.ports.store, heeding.settings).begin(change)
    heeding.put(name, b"z = 3\n")
    heeding.optimise()
    assert heeding.stored(name) == b"z = 3\n"
    assert any("somebody else wrote it since" in line for line in heeding.told)

    heeding.put(name, b"new = 1\n")  # written, and then its row changed
    UndoStore(heeding.ports.store, heeding.settings).begin(change)
    with heeding.sql() as sql:
        sql.execute("UPDATE agents SET updated_at = clock_timestamp()")
    heeding.optimise()
    assert heeding.stored(name) == change.former
    assert heeding.pending() == []


def _change(world, name):
    with world.sql() as sql:
        agent_id, seen = sql.execute(
            "SELECT id::text, updated_at::text FROM agents WHERE name = %s", (name,)
        ).fetchone()
    former, new = world.stored(name), b"new = 1\n"
    return Change(
        RUN,
        agent_id,
        f"{name} 1.0.0",
        f"{name}/1.0.0.py",
        former,
        sha256(former),
        sha256(new),
        len(new),
        seen,
        ("p",),
        {},
    )


def test_what_is_kept_must_be_what_it_says(heeding):
    change = _change(heeding, heeding.add(1))
    assert Change.from_json(change.to_json(), "k") == change
    other = json.loads(change.to_json()) | {"old_hash": "0" * 64}
    for wrong in (b"{}", b"[", json.dumps(other).encode()):
        with pytest.raises(GarbledAnswerError):
            Change.from_json(wrong, "k")


def test_former_sources_go_after_their_days(heeding):
    name = heeding.add(1)
    heeding.optimise()
    undo = UndoStore(heeding.ports.store, heeding.settings)
    assert len(undo.of(name)) == 1
    heeding.now += timedelta(days=heeding.rules.undo_days + 1)
    heeding.optimise()
    heeding.add(2)
    heeding.optimise()
    assert undo.of(name) == []


def test_where_a_barrier_is_missing_nothing_is_executed(heeding, monkeypatch):
    broken = Held({**dict.fromkeys(BARRIERS, ""), "network": "a connection"}, ("seccomp",))
    monkeypatch.setattr(workers._Worker, "start", lambda self: broken)
    monkeypatch.setattr(workers._Worker, "optimised", lambda *_: pytest.fail("it was executed"))
    name = heeding.add(1)
    former = heeding.stored(name)
    confined, result = heeding.optimise()
    assert confined.verdict is Verdict.UNKNOWN
    assert "network" in confined.hint
    assert result.verdict is Verdict.UNKNOWN
    assert "1 agent was not looked at" in result.summary
    assert heeding.stored(name) == former


def test_what_time_did_not_suffice_for_is_told(heeding):
    heeding.rules = heeding.rules.model_copy(update={"minutes": 0.00001})
    heeding.add(1)
    _, result = heeding.optimise()
    assert result.verdict is Verdict.UNKNOWN
    assert "minutes were over" in result.summary


def test_what_cannot_even_be_looked_at_is_left_alone_with_its_reason(heeding):
    world = heeding
    gone, other, windows, large, latin = (world.add(number) for number in range(1, 6))
    world.put(latin, b"# coding: latin-1\n" + world.stored(latin))
    world.client.delete_object(Bucket=world.agents, Key=f"{gone}/1.0.0.py")
    world.put(other, world.stored(other) + b"# changed past the registry\n")
    world.put(windows, world.stored(windows).replace(b"\n", b"\r\n"))
    world.put(large, b"#" * 40_000)
    _, result = world.optimise()
    text = "\n".join(result.details)
    for why in ("not in the bucket", "knows another code", "another line end", "above 32 KB", "it is iso-8859-1"):
        assert why in text, (why, text)
    assert result.verdict is Verdict.WARNING
    assert "left alone are above 6.5 KB" in result.summary


def test_a_store_that_is_away_is_an_error_that_is_worth_another_try(heeding):
    heeding.facts = ConnectionFacts(
        "tdev_aws", "aws", login="a", password="b", extra={"endpoint_url": "http://127.0.0.1:9", "region_name": "x"}
    )
    with pytest.raises(TargetUnreachableError):
        heeding.optimise()


def test_a_worker_that_breaks_costs_one_agent(monkeypatch):
    from tdev_operators.core.agents.ladder import Goal

    rules = rules_with(at_once=1, calls=8)
    sources = {str(number): agent_source("break", number, 6300).source for number in range(3)}
    with Workers(rules, Goal(6.0, 6.5, 3.0)) as opened:
        [worker] = opened._workers
        results = opened.each(sources, until=time.monotonic() + 60)
        first = next(results)
        worker._conversation._command._group.kill()
        rest = dict([first, *results])
    assert sorted(rest) == ["0", "1", "2"]
    broken = [done for done in rest.values() if done.source is None]
    assert len(broken) == 1
    assert "what tries it broke" in broken[0].refusal


def test_whoever_gives_up_in_between_leaves_no_process_and_waits_for_no_other_agent():
    from tdev_operators.core.agents.ladder import Goal

    sources = {str(number): agent_source("stop", number, 6300).source for number in range(200)}
    pids = []

    def give_up():
        with Workers(rules_with(at_once=2, calls=8), Goal(6.0, 6.5, 3.0)) as opened:
            pids.extend(worker._conversation._command.pid for worker in opened._workers)
            next(opened.each(sources, until=time.monotonic() + 300))
            raise Killed

    with pytest.raises(Killed):
        give_up()
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def _without_confinement(monkeypatch):
    """Let agents be made smaller without trying them: these tests are about writing."""
    from tdev_operators.core.agents.ladder import Optimised, Sizes

    monkeypatch.setattr(Workers, "__enter__", lambda self: self)
    monkeypatch.setattr(Workers, "__exit__", lambda *_: None)
    monkeypatch.setattr(Workers, "held", Held(dict.fromkeys(BARRIERS, ""), ()), raising=False)

    def each(_, sources, **__):
        for key, source in sources.items():
            body = source.replace("    ", " ").replace("\n\n", "\n")
            yield (
                key,
                Optimised(
                    body, "", ("shorten_text",), {}, Sizes(len(source.encode())), Sizes(len(body.encode())), 5, 90.0
                ),
            )

    monkeypatch.setattr(Workers, "each", each)

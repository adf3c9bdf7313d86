"""The application's part of the daily analysis: green when it is well, and red when it is not."""

import importlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tdev_operators.core.application.day import ApplicationDay
from tdev_operators.core.application.looks import all_looks, is_named
from tdev_operators.core.application.run import look_at_application
from tdev_operators.core.errors import TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.ledger import Sample
from tdev_operators.core.ports import HttpAnswer, SystemPorts, utc_now
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.hosts.local import LocalHost
from tdev_operators.hooks.postgres import PostgresDatabase
from tests.analysed import DAY, MemoryLedger, shipped

OK, WARNING, CRITICAL, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN
SCHEMA = Path(__file__).resolve().parents[3] / "sandbox" / "schema.sql"


class Api:
    """Answers every path in so many seconds with a status; an exception is raised."""

    name = "http://api.test"

    def __init__(self, seconds=0.05, **by_path):
        self.seconds, self.by_path = seconds, by_path

    def get(self, path: str, **_options: Any) -> HttpAnswer:
        answer = self.by_path.get(path.strip("/").replace("/", "_"), 200)
        if isinstance(answer, Exception):
            raise answer
        return HttpAnswer(answer, b"{}", "application/json", self.seconds)


def day_of(database=None, api=None, hosts=None, ledger=None, at=None, **settings):
    at = at or utc_now()
    system = SystemPorts(database, None, api, None, None, None, hosts or {}, lambda: at)
    return ApplicationDay(system, shipped(**settings), ledger or MemoryLedger(), at)


def before(day, kind, *facts):
    for ago, each in enumerate(reversed(facts), start=1):
        day.ledger.keep_sample("t-developer", kind, Sample(day.at - ago * DAY, each))


def look(name, day):
    return importlib.import_module(f"tdev_operators.core.application.looks.{name}").look(day)


def figures(result):
    return {figure.name: figure.value for figure in result.measurements}


def test_every_look_is_complete_and_has_a_name_for_the_settings():
    assert [each.name for each in all_looks()] == ["performance.agents", "performance.api", "performance.throughput"]
    for each in all_looks():
        assert each.about
        assert each.hint
        assert is_named(each.name)
    assert not is_named("performance.luck")


def test_a_quick_api_is_well_and_its_figures_are_kept():
    day = day_of(api=Api())
    result = look("api", day)
    assert result.verdict is OK
    assert "20 requests took 50 ms (p95)" in result.summary
    (kept,) = day.ledger.samples("t-developer", "application.api", day.at)
    assert kept.facts["p95_ms"] == 50
    assert kept.facts["failed_percent"] == 0


@pytest.mark.parametrize(
    ("api", "verdict", "words"),
    [
        (Api(health=500), CRITICAL, "5 of 20 requests failed: GET /health: status 500"),
        (Api(agents=TargetTimeoutError("It hangs.")), CRITICAL, "5 of 20 requests failed: GET /agents: It hangs."),
        (Api(agents=404), OK, "20 requests"),  # the shape of answers is the health check's matter
        (Api(seconds=2), WARNING, "takes 2000 ms (p95)"),
        (Api(seconds=9), CRITICAL, "takes 9000 ms (p95)"),
    ],
)
def test_failures_and_slowness_are_red(api, verdict, words):
    result = look("api", day_of(api=api))
    assert result.verdict is verdict, result.summary
    assert words in result.summary


def test_an_api_that_is_away_is_critical():
    away = TargetUnreachableError("Nobody is there.")
    api = Api(health=away, api_evolution_status=away, generation_current=away, agents=away)
    result = look("api", day_of(api=api))
    assert result.verdict is CRITICAL
    assert figures(result)["failed requests"] == 100


@pytest.mark.parametrize(("seconds", "verdict"), [(0.15, OK), (0.25, WARNING), (1.2, CRITICAL)])
def test_slower_than_usual_is_told(seconds, verdict):
    day = day_of(api=Api(seconds=seconds))
    before(day, "application.api", *[{"p95_ms": 100}] * 4)
    result = look("api", day)
    assert result.verdict is verdict, result.summary
    assert [len(each.points) for each in result.series] == [5]


def test_what_is_fast_may_be_slower_than_usual():
    day = day_of(api=Api(seconds=0.09))
    before(day, "application.api", *[{"p95_ms": 2}] * 4)
    assert look("api", day).verdict is OK


def test_few_days_make_nothing_usual():
    day = day_of(api=Api(seconds=1))
    before(day, "application.api", {"p95_ms": 2}, {"p95_ms": 2})
    assert look("api", day).verdict is OK


def test_real_requests_are_told_from_the_log(tmp_path):
    at = utc_now()
    lines = [
        f"{(at - timedelta(minutes=n)).isoformat(timespec='milliseconds').replace('+00:00', 'Z')} INFO api "
        f"GET /agents 200 {n} ms from 10.0.0.1"
        for n in range(200, 0, -1)
    ]
    (tmp_path / "api.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {"logs": {"directory": str(tmp_path)}}
    result = look("api", day_of(api=Api(), hosts={"here": LocalHost("here")}, at=at, **settings))
    assert "the 200 of the last 24 h 190 ms, as the log tells" in result.summary


def test_a_log_of_more_requests_than_a_host_hands_over_is_told_of_its_last_hours(tmp_path):
    at = utc_now()

    def line(seconds, took):
        stamp = (at - timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{stamp} INFO api GET /agents 200 {took} ms from 10.0.0.1 {'x' * 60}\n"

    text = "".join(line(seconds, 5) for seconds in range(80_000, 23_000, -6))
    text += "".join(line(seconds, 50) for seconds in range(20_000, 0, -10))
    (tmp_path / "api.log").write_text(text, encoding="utf-8")
    settings = {"logs": {"directory": str(tmp_path)}}
    result = look("api", day_of(api=Api(), hosts={"here": LocalHost("here")}, at=at, **settings))
    assert "the 2,000 of the last 6 h 50 ms, as the log tells" in result.summary


@pytest.fixture
def populated(database):
    """Return a database with forty agents of 4 KB, and what looks at it."""
    with psycopg.connect(**database, autocommit=True) as connection:
        connection.execute(SCHEMA.read_bytes())
        connection.execute(
            "INSERT INTO agents (id, name, version, size_kb, instantiation_us, fitness_score) "
            "SELECT gen_random_uuid(), 'agent_' || i, '1', 4, 2, 0.5 FROM generate_series(1, 40) AS i"
        )
    facts = ConnectionFacts(
        *("tdev_postgres", "postgres", database["host"], database["port"], database["user"]),
        *(database["password"], database["dbname"]),
    )
    return database, PostgresDatabase(facts)


def run(conninfo, statement):
    with psycopg.connect(**conninfo, autocommit=True) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ("size_kb = 4 WHERE true", OK, "0 of 40 agents (0 %) are above 6 KB; the largest has 4.00 KB"),
        ("size_kb = 6.2 WHERE right(name, 1) IN ('1', '2')", OK, "8 of 40 agents (20 %)"),
        ("size_kb = 6.2 WHERE right(name, 1) IN ('1', '2', '3')", WARNING, "More than 25 % is a drift"),
        ("size_kb = 7 WHERE name = 'agent_1'", CRITICAL, "1 agents are too large and 0 too slow"),
        ("instantiation_us = 4 WHERE name = 'agent_1'", CRITICAL, "0 agents are too large and 1 too slow"),
    ],
)
def test_agents_near_and_beyond_their_limits(populated, change, verdict, words):
    conninfo, database = populated
    run(conninfo, f"UPDATE agents SET {change}")
    day = day_of(database)
    before(day, "application.agents", *[{"near_percent": 1.0, "mean_kb": 4.0}] * 3)
    result = look("agents", day)
    assert result.verdict is verdict, result.summary
    assert words in result.summary.replace(", usually 1 %", "")
    assert [len(each.points) for each in result.series] == [4, 4]


def test_without_agents_nothing_is_known(populated):
    run(populated[0], "TRUNCATE agents CASCADE")
    assert look("agents", day_of(populated[1])).verdict is UNKNOWN


def history(conninfo, where="true", days=15):
    run(
        conninfo,
        "INSERT INTO evolution_history (id, agent_id, generation, fitness_score, constraints_met, timestamp) "
        f"SELECT gen_random_uuid(), (SELECT id FROM agents LIMIT 1), g, 0.5, true, now() - h * interval '1 hour' "
        f"FROM (SELECT g, {days} * 24 - g + 0.5 AS h FROM generate_series(1, {days} * 24) AS g) AS a, "
        f"generate_series(1, 4) AS i WHERE {where}",
    )


@pytest.mark.parametrize(
    ("where", "verdict", "words"),
    [
        ("true", OK, "96 evaluations in 24 generations were made in 24 h; 96 are usual"),
        ("h > 24 OR i <= 2", WARNING, "48 evaluations in 24 generations were made in 24 h, 50 % of the usual 96"),
        ("h > 20", CRITICAL, "16 evaluations in 4 generations were made in 24 h, 17 % of the usual 96"),
    ],
)
def test_throughput_is_held_against_the_days_before(populated, where, verdict, words):
    history(populated[0], where)
    result = look("throughput", day_of(populated[1]))
    assert result.verdict is verdict, result.summary
    assert words in result.summary
    assert len(result.series[0].points) == 14


def test_a_stalled_evolution_has_no_throughput(populated):
    history(populated[0], "h > 30")
    assert look("throughput", day_of(populated[1])).verdict is CRITICAL


@pytest.mark.parametrize(("days", "verdict"), [(0, UNKNOWN), (2, OK)])
def test_a_young_history_has_nothing_usual(populated, days, verdict):
    history(populated[0], days=days)
    assert look("throughput", day_of(populated[1])).verdict is verdict


def test_one_look_that_fails_leaves_the_others(populated):
    history(populated[0])
    day = day_of(populated[1], api=Api())
    off = OutOfScopeSettings(check="performance.throughput", reason="none", owner="Engineering")
    settings = day.settings.model_copy(update={"out_of_scope": (off,)})
    day.ledger.down = True
    lines = []
    outcome = look_at_application(day.system, day.ledger, settings, progress=lines.append)
    assert {result.check: result.verdict for result in outcome.results} == {
        "performance.agents": UNKNOWN,
        "performance.api": UNKNOWN,
    }
    assert "nothing can be compared" in outcome.results[0].summary
    assert [entry.check for entry in outcome.out_of_scope] == ["performance.throughput"]
    assert len(lines) == 2

"""The whole health check on a whole small T-Developer: green when all is well, and the right check red when not."""

import contextlib
import json
import socket
import threading
import time

import pytest

from tdev_operators.core.health.registry import REACHABILITY, all_checks
from tdev_operators.core.health.run import run_health_check
from tdev_operators.core.settings import load_settings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.connections import EnvironmentConnections
from tests.seeded import drawn

RED = {
    "stall_evolution": "evolution.generation_age",
    "decline_fitness": "evolution.fitness_trend",
    "agent_limit": "agents.limits",
    "invalid_index": "database.invalid_indexes",
    "expired_certificate": "security.certificates",
    "stop_api": "api.reachable",
    "failed_logins": "security.failed_logins",
}
# A running engine hangs, and checkpoints are what `tdev_recover_evolution` looks at.
OF_THE_RECOVERY = {"hang_evolution", "spoil_checkpoints"}


@pytest.fixture
def run(sandbox):
    settings = load_settings(sandbox.settings_file)
    # On a busy machine the agents of a bucket take longer than the settings allow.
    health = settings.health.model_copy(update={"check_timeout_seconds": 60})
    settings = settings.model_copy(update={"health": health})

    def go(ports_of=lambda ports: ports):
        ports = system_ports(settings, EnvironmentConnections(sandbox.environment))
        return run_health_check(ports_of(ports), settings)

    return go


def not_ok(outcome):
    return {result.check: result.summary for result in outcome.results if result.verdict is not Verdict.OK}


def test_all_is_well(run):
    outcome = run()
    assert not_ok(outcome) == {}
    assert outcome.verdict is Verdict.OK
    assert [result.check for result in outcome.results] == [check.name for check in all_checks()]
    assert all(result.hint and result.summary for result in outcome.results)


def test_every_breakage_has_its_check():
    from sandbox.breakage import BREAKAGES

    assert set(RED) | OF_THE_RECOVERY == set(BREAKAGES)


@pytest.mark.seeded(2)
@pytest.mark.parametrize("breakage", RED)
def test_exactly_the_right_check_is_red(run, sandbox, breakage):
    sandbox.break_(breakage)
    outcome = run()
    results = {result.check: result for result in outcome.results}
    assert results[RED[breakage]].verdict is Verdict.CRITICAL
    # Others may be unable to look, but then they name the same cause: one alert.
    others = {name: result for name, result in results.items() if result.verdict is not Verdict.OK}
    del others[RED[breakage]]
    assert {result.because_of for result in others.values()} <= {RED[breakage]}, not_ok(outcome)
    sandbox.mend()
    assert not_ok(run()) == {}


def moved(sandbox, connection, port):
    """Return the sandbox's environment with one connection moved to another port."""
    name = f"AIRFLOW_CONN_{connection.upper()}"
    facts = json.loads(sandbox.environment[name])
    if connection == "tdev_aws":
        facts["extra"]["service_config"]["s3"]["endpoint_url"] = f"http://127.0.0.1:{port}"
    return {**sandbox.environment, name: json.dumps({**facts, "port": port})}


@pytest.fixture
def silent_port():
    """Return the port of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    """Return a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = server.getsockname()
    return name[1]


def served(answer, wait=0.0):
    """Yield the port of a server that says one thing to everybody, some time after it was asked."""
    server = socket.create_server(("127.0.0.1", 0), backlog=64)

    def talk(line):
        with contextlib.suppress(OSError), line:
            while line.recv(65_536):
                time.sleep(wait)
                line.sendall(answer)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with server:
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def garbage_port():
    """Return the port of a server that answers whatever it is asked with nonsense."""
    yield from served(b"\x00garbage\xff, not a protocol\r\n\r\n")


@pytest.fixture
def slow_port():
    """Return the port of a server that takes ten seconds for each answer."""
    yield from served(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", wait=10)


DEAD = ("silent_port", "closed_port", "garbage_port", "slow_port")
TARGETS = (("tdev_postgres", "database"), ("tdev_api", "api"), ("tdev_aws", "objects"))


@pytest.mark.seeded
@pytest.mark.parametrize(
    ("connection", "need", "how"),
    [case for target in TARGETS for case in drawn(target[0], [(*target, how) for how in DEAD])],
)
def test_a_dead_target_is_confirmed_within_the_limit_and_is_one_cause(sandbox, request, connection, need, how):
    settings = load_settings(sandbox.settings_file)
    environment = moved(sandbox, connection, request.getfixturevalue(how))
    started = time.monotonic()
    outcome = run_health_check(system_ports(settings, EnvironmentConnections(environment)), settings)
    assert time.monotonic() - started < settings.health.check_timeout_seconds + 5
    root = REACHABILITY[need]
    results = {result.check: result for result in outcome.results}
    assert results[root].verdict is Verdict.CRITICAL
    assert "Not confirmed" not in results[root].summary
    red = {name: result for name, result in results.items() if result.verdict is not Verdict.OK and name != root}
    assert {result.because_of for result in red.values()} == {root}, not_ok(outcome)
    assert red.keys() <= {check.name for check in all_checks() if need in check.needs}

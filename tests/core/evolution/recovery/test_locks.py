"""Only locks that are proven to be a dead engine's are cleared: never a live session's, however old it looks."""

import os
import socket
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.evolution.recovery import locks
from tdev_operators.core.evolution.recovery.locks import EngineSession, Place, why_kept
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost
from tests.hosts import Saying

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ONE = EngineSession(
    pid=7,
    backend_start=NOON - timedelta(hours=1),
    state_change=NOON,
    state="idle",
    client_address="192.0.2.1",
    client_port=40_000,
    server_port=5432,
    locks=1,
    now=NOON,
)


def lives(evolution, pid):
    return evolution.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid) == 1


def engine_session(evolution):
    """A session that calls itself the engine's, in this process."""
    info = evolution.system.source.conninfo("t_developer", user="t_developer")
    return psycopg.connect(**info, application_name="t-developer-evolution", autocommit=True)


@pytest.fixture
def cleared(evolution):
    """Return a function that clears what dead engines left, as after a stop at a moment."""

    def clear(stopped_at=None, host=None):
        settings = evolution.settings()
        with evolution.ports() as ports, ports.database.session() as session:
            [now] = session.rows("SELECT clock_timestamp() AS now")
            place = Place(host or LocalHost("sandbox"), frozenset({"127.0.0.1"}), stopped_at or now["now"])
            return locks.clear_orphans(session, settings.evolution.recovery, [place])

    return clear


def test_the_lock_of_a_dead_engine_is_cleared_and_the_new_one_gets_it(evolution):
    pid = evolution.hold_as_the_dead()
    floor = evolution.highest()
    found = evolution.recover()
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["cure"].summary.startswith(f"Cured: generation {floor + 1}")
    assert found["locks"].verdict is Verdict.OK
    assert found["locks"].summary == "1 cleared, 0 left alone."
    assert found["locks"].details[0].startswith(f"pid {pid} from 127.0.0.1 (active, ")
    assert any(f"pid {pid} of t_developer (t-developer-evolution)" in line for line in found["diagnosis"].details)
    assert not lives(evolution, pid)


@pytest.mark.faults
def test_a_process_that_outlived_the_service_keeps_its_lock_and_is_told(evolution):
    _, pid = evolution.hold(key=99)
    found = evolution.recover()
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["locks"].verdict is Verdict.WARNING
    assert f"pid {pid} " in found["locks"].summary
    assert (
        "sandbox still has its connection open: a process that outlived the service holds it" in found["locks"].summary
    )
    assert lives(evolution, pid)


def test_a_live_lock_of_somebody_else_is_named_and_nothing_is_touched(evolution):
    _, holder = evolution.hold(application="psql")
    waiter = engine_session(evolution)
    try:
        waiter.execute("SET statement_timeout = '20s'")
        waiter.pgconn.send_query(b"SELECT pg_advisory_lock(7331)")
        found = evolution.recover()
    finally:
        waiter.pgconn.finish()
    assert found["cure"].verdict is Verdict.CRITICAL
    assert f"The engine waits for a lock of pid {holder} of t_developer (psql) from 127.0.0.1" in found["cure"].summary
    assert "which lives and is not the engine's" in found["cure"].summary
    assert not evolution.engine.running
    assert lives(evolution, holder)


def test_a_session_that_is_alive_is_never_ended(evolution, cleared):
    with engine_session(evolution) as alive:
        alive.execute("SELECT pg_advisory_lock(5)")
        found = cleared()
        assert found.ended == ()
        assert "still has its connection open" in found.kept[0]
        assert alive.execute("SELECT 1").fetchone() == (1,)


def test_one_that_becomes_active_between_look_and_act_stays(evolution, cleared, monkeypatch):
    with engine_session(evolution) as alive:
        alive.execute("SELECT pg_advisory_lock(5)")

        def woken(*_):
            alive.execute("SELECT 1")
            return False  # the sabotage: whoever looks sees no open connection

        monkeypatch.setattr(locks, "is_connected", woken)
        found = cleared()
        assert found.ended == ()
        assert "it became active, or ended, while it was looked at" in found.kept[0]
        assert alive.execute("SELECT 1").fetchone() == (1,)


def test_one_that_began_after_the_stop_stays(evolution, cleared):
    pid = evolution.hold_as_the_dead()
    found = cleared(stopped_at=datetime.now(UTC) - timedelta(minutes=5))
    assert found.ended == ()
    assert "it began after the engine was stopped" in found.kept[0]
    assert lives(evolution, pid)


def test_where_nobody_can_look_nothing_is_ended(evolution, cleared):
    class Blind(LocalHost):
        def run(self, argv, **options):
            return CommandOutput(1, "", "")

    pid = evolution.hold_as_the_dead()
    found = cleared(host=Blind("sandbox"))
    assert found.ended == ()
    assert "nobody can see whether its client lives" in found.kept[0]
    assert lives(evolution, pid)


@pytest.mark.faults
def test_without_the_right_it_stays_and_the_recovery_goes_on(evolution):
    pid = evolution.hold_as_the_dead(key=99)
    with evolution.system.database() as sql:
        sql.execute("GRANT CONNECT ON DATABASE t_developer TO dba")
        sql.execute("REVOKE t_developer FROM dba")
    try:
        found = evolution.recover()
    finally:
        with evolution.system.database() as sql:
            sql.execute("GRANT t_developer TO dba")
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["locks"].verdict is Verdict.WARNING
    assert "it could not be ended (" in found["locks"].summary
    assert lives(evolution, pid)


@pytest.mark.faults
def test_where_the_settings_forbid_it_no_session_is_ended(evolution):
    pid = evolution.hold_as_the_dead(key=99)
    found = evolution.recover(settings=evolution.settings(clear_sessions=False))
    assert found["cure"].verdict is Verdict.OK
    assert lives(evolution, pid)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"locks": 0}, "it holds no lock that could be in the way"),
        ({"client_address": "", "client_port": -1}, "it came over a Unix socket"),
        ({"client_address": "198.51.100.7"}, "it came from 198.51.100.7, which is none of the hosts"),
        ({"backend_start": NOON}, "it began after the engine was stopped"),
    ],
)
def test_what_speaks_for_an_orphan(changes, why):
    place = Place(LocalHost("a"), frozenset({"192.0.2.1"}), NOON)
    said = why_kept(replace(ONE, **changes), [place])
    assert said.startswith(why) if why else said == ""


def test_another_connection_from_the_same_port_keeps_no_orphan(evolution, cleared):
    """The kernel gives a client's port out again, for another destination, while the dead one's session is there."""
    pid = evolution.hold_as_the_dead()
    port = evolution.value("SELECT client_port FROM pg_stat_activity WHERE pid = %s", pid)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere, another_from(port, elsewhere):
        found = cleared()
    assert found.kept == ()
    assert found.ended[0].startswith(f"pid {pid} from 127.0.0.1 (active, ")
    assert not lives(evolution, pid)


@contextmanager
def another_from(port, server):
    """A connection to this server that got this port by the kernel's own choice."""
    for _ in range(100_000):
        one = socket.create_connection(server.getsockname())
        served, _ = server.accept()
        with one, served:
            if one.getsockname()[1] == port:
                yield
                return
    raise AssertionError(f"port {port} was never given out again")


class Titled(LocalHost):
    """This machine, on which this very process is called a session of PostgreSQL."""

    def run(self, argv, **options):
        if argv[0] != "cat":
            return super().run(argv, **options)
        return CommandOutput(0, f"postgres: one: t_developer t_developer localhost({self.port}) idle", "")


@pytest.fixture
def titled():
    return Titled("here")


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_an_open_connection_is_seen_and_a_closed_one_is_not(titled, address, family):
    with socket.create_server((address, 0), family=family) as server:
        client = socket.create_connection(server.getsockname()[:2])
        served, _ = server.accept()
        (_, titled.port), (_, server_port) = client.getsockname()[:2], server.getsockname()[:2]
        one = replace(ONE, pid=os.getpid(), client_address=address, client_port=titled.port, server_port=server_port)
        assert locks.is_connected(titled, one)
        served.sendall(b"unread")
        assert locks.is_connected(titled, one)
        client.close()
        assert not locks.is_connected(titled, one), "it was reset: nothing of it is shown any more"
        served.close()


def test_one_over_ipv4_at_a_server_of_both_is_seen(titled):
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        server_port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", server_port)) as client:
            titled.port = client.getsockname()[1]
            one = replace(
                ONE, pid=os.getpid(), client_address="127.0.0.1", client_port=titled.port, server_port=server_port
            )
            assert locks.is_connected(titled, one)


@pytest.mark.parametrize("title", ["", "sleep\x00600", "postgres: t_developer t_developer 127.0.0.1(40001) idle"])
def test_a_session_whose_process_is_not_to_be_seen_here_is_not_judged(title):
    with pytest.raises(
        GarbledAnswerError, match="saying does not show its process 7; see whether it lives in a container"
    ):
        locks.is_connected(Saying(title), replace(ONE, client_address="127.0.0.1"))


HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"


@pytest.mark.parametrize(
    ("line", "connected"),
    [
        ("   7: 010200C0:9C40 090200C0:1538 01 00000000:00000000\n", True),
        ("   7: 010200C0:9C40 090200C0:1538 08 00000000:00000000\n", False),
        ("", False),
        ("   7: 010200C0:9C40 090200C0:01BB 01 00000000:00000000\n", True),  # nobody knows through what it went
    ],
)
def test_elsewhere_the_clients_end_is_looked_at(line, connected):
    assert locks.is_connected(Saying(HEADER + line), ONE) is connected


@pytest.mark.parametrize(
    ("shown", "address"), [("", "192.0.2.1"), ("postgres: a a localhost(40000) idle", "127.0.0.1")]
)
def test_a_table_that_shows_nothing_at_all_is_not_believed(shown, address):
    with pytest.raises(GarbledAnswerError, match="could not be read whole"):
        locks.is_connected(Saying(shown), replace(ONE, client_address=address))

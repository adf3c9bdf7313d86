"""A whole T-Developer whose engine makes a generation a second, and recoveries of it."""

import itertools
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sandbox.seed_files import CHECKPOINTS_BUCKET
from sandbox.settings_file import change_settings
from sandbox.system import Sandbox
from tdev_operators.core.evolution.recovery.decision import RecoveryRequest
from tdev_operators.core.evolution.recovery.recover import Recovery
from tdev_operators.core.evolution.recovery.told import results_of
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.evolution_assembly import evolution_ports

_RUNS = itertools.count(1)
INTERVAL, WAIT = 0.4, 8.0
ENGINE_LOCK = 7_331  # what the stand-in's engine wants to hold

# A client that holds a lock while the server works for it; killed, its session goes on: nobody tells the server.
_HOLDER = """
import sys, time, psycopg
with psycopg.connect(application_name=sys.argv[1], autocommit=True) as session:
    session.execute("SELECT pg_advisory_lock(%s)", (int(sys.argv[2]),))
    print(session.info.backend_pid, flush=True)
    if sys.argv[3] == "busy":
        session.execute("SELECT pg_sleep(600)")
    time.sleep(600)
"""


class Evolution:
    """The sandbox, how it is broken, and recoveries of it."""

    def __init__(self, system):
        self.system = system
        self.engine = system.engine
        self._holders = []

    def settings(self, **recovery):
        settings = load_settings(self.system.settings_file)
        own = settings.evolution.recovery.model_copy(update=recovery)
        return settings.model_copy(update={"evolution": settings.evolution.model_copy(update={"recovery": own})})

    def request(self, **asked):
        number = next(_RUNS)
        return RecoveryRequest(
            **{"recovery_id": f"evolution-test-{number}", "requested_by": "lead", "dry_run": False, **asked}
        )

    @contextmanager
    def ports(self, settings=None, **changes):
        settings = settings or self.settings()
        with evolution_ports(settings, EnvironmentConnections(self.system.environment)) as ports:
            yield replace(ports, **changes)

    @contextmanager
    def opened(self, request, *, settings=None, ports=None, **options):
        settings = settings or self.settings()
        with self.ports(settings, **(ports or {})) as made:
            yield Recovery(made, settings, request, **options), settings

    def recover(self, request=None, *, approved=("deputy",), **options):
        """Do a whole run as its tasks would; return its results by name."""
        request = request or self.request()
        with self.opened(request, **options) as (recovery, settings):
            _, decision = recovery.diagnose()
            if decision.go and not request.dry_run:
                recovery.note_approvals(list(approved))
                if recovery.act():
                    recovery.wait()
            return named(results_of(recovery, settings))

    def results(self, request, **options):
        with self.opened(request, **options) as (recovery, settings):
            return named(results_of(recovery, settings))

    def value(self, query, *params):
        with self.system.database() as sql:
            return sql.execute(query, params or None).fetchone()[0]

    def highest(self):
        return self.value("SELECT max(generation) FROM evolution_history")

    def wait_for_a_generation(self):
        """Wait for the next one; return the highest number of before."""
        floor, deadline = self.highest(), time.monotonic() + 20
        while self.highest() == floor:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return floor

    def pids(self, application="t-developer-evolution"):
        with self.system.database() as sql:
            rows = sql.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (application,)
            ).fetchall()
        return {row[0] for row in rows}

    def hold(self, *, application="t-developer-evolution", user="t_developer", key=ENGINE_LOCK, how="busy"):
        """Start a client that holds an advisory lock; return it and its backend's pid."""
        info = self.system.source.conninfo("t_developer", user=user)
        names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
        environment = {names[name]: str(value) for name, value in info.items() if name in names}
        argv = [sys.executable, "-c", _HOLDER, application, str(key), how]
        client = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
        self._holders.append(client)
        return client, int(client.stdout.readline())

    def hold_as_the_dead(self, **options):
        """Return the pid of a session that holds the engine's lock and whose client was killed."""
        client, pid = self.hold(**options)
        deadline = time.monotonic() + 10
        while self.value("SELECT state FROM pg_stat_activity WHERE pid = %s", pid) != "active":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        client.kill()
        client.wait()
        return pid

    def as_new(self):
        for client in self._holders:
            client.kill()
            client.wait()
            client.stdout.close()
        self._holders.clear()
        if self.engine.running:
            self.engine.go_on()
        self.engine.stalls_after, self.engine.goes_back = None, False
        self.engine.stop()
        with self.system.database() as sql:
            sql.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE usename = 't_developer' AND application_name <> 't-developer-api'"
            )
            sql.execute("UPDATE evolution_state SET running = true, resume_from = ''")
        if not self.system.api.running:
            self.system.api.start()
        self.system.mend()

    def checkpoints(self):
        """The keys of all checkpoints."""
        pages = self.system.objects.client().get_paginator("list_objects_v2").paginate(Bucket=CHECKPOINTS_BUCKET)
        return {each["Key"] for page in pages for each in page.get("Contents", [])}

    def drop_checkpoints(self, keys):
        """Generations that earlier tests made are gone from the database; so go their checkpoints."""
        for key in keys:
            self.system.objects.client().delete_object(Bucket=CHECKPOINTS_BUCKET, Key=key)


def named(results):
    """The results by the last part of their names."""
    return {one.check.partition(".")[2]: one for one in results}


@pytest.fixture(scope="session")
def _evolving():
    with Sandbox.start("small", engine=False, engine_interval_seconds=INTERVAL) as system:
        change_settings(system.settings_file, {"evolution": {"recovery": {"generation_wait_seconds": WAIT}}})
        yield system, Evolution(system).checkpoints()


@pytest.fixture
def evolution(_evolving):
    """A stalled evolution: its engine is stopped, and the last three hours are without a generation."""
    system, checkpoints = _evolving
    made = Evolution(system)
    system.break_("stall_evolution")
    made.drop_checkpoints(made.checkpoints() - checkpoints)
    yield made
    made.as_new()


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/core/evolution/recovery/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("evolution-recovery"))
            item.add_marker(pytest.mark.timeout(120))

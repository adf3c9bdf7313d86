"""Memory is shown, relieved by the gentlest act that helps, and held against before; the evolution goes on."""

import itertools
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sandbox.settings_file import change_settings
from sandbox.system import Sandbox
from tdev_operators.core.errors import AccessDeniedError, InputError, TargetUnreachableError
from tdev_operators.core.memory import relief as relief_module
from tdev_operators.core.memory.relief import Relief, ReliefRequest
from tdev_operators.core.memory.told import results_of
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.services import start_service
from tdev_operators.core.settings import load_settings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.evolution_assembly import evolution_ports
from tdev_operators.hooks.hosts.local import LocalHost

_RUNS = itertools.count(1)
MONDAY = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
TOTAL = 1_000_000
STEPS = 9  # lines of the journal of a run that restarts the engine


class Told(LocalHost):
    """This machine, but for what it says of its memory: one figure after the other, the last for ever."""

    def __init__(self, *used_percent, reclaimable=0):
        super().__init__("sandbox")
        self.used, self.reclaimable, self.said = list(used_percent), reclaimable, []

    def run(self, argv, **options):
        self.said.append(list(argv))
        if list(argv) != ["cat", "/proc/meminfo"]:
            return super().run(argv, **options)
        used = self.used.pop(0) if len(self.used) > 1 else self.used[0]
        available = round(TOTAL * (1 - used / 100))
        slab = round(TOTAL * self.reclaimable / 100)
        lines = {"MemTotal": TOTAL, "MemFree": available, "MemAvailable": available, "SReclaimable": slab}
        return CommandOutput(0, "".join(f"{name}:  {value} kB\n" for name, value in lines.items()), "")


class House:
    """A sandbox whose host says what it is told of its memory."""

    def __init__(self, system):
        self.system = system

    def settings(self, **relief):
        settings = load_settings(self.system.settings_file)
        return settings.model_copy(update={"memory_relief": settings.memory_relief.model_copy(update=relief)})

    def request(self, **asked):
        return ReliefRequest(
            **{"recovery_id": f"memory-test-{next(_RUNS)}", "requested_by": "lead", "dry_run": False, **asked}
        )

    @contextmanager
    def opened(self, request, host, *, settings=None, clock=lambda: MONDAY, **options):
        settings = settings or self.settings()
        with evolution_ports(settings, EnvironmentConnections(self.system.environment)) as ports:
            system = replace(ports.system, hosts={"sandbox": host})
            made = replace(ports, system=system, clock=clock)
            yield Relief(made, settings, request, **options), settings

    def relieve(self, host, request=None, *, approved=("deputy",), **options):
        request = request or self.request()
        with self.opened(request, host, **options) as (relief, settings):
            acts = relief.diagnose()
            if acts and not request.dry_run:
                if approved:
                    relief.note_approvals(list(approved))
                relief.act()
                relief.wait()
            [result] = results_of(relief, settings)
            return result


@pytest.fixture(scope="module")
def _relieved():
    with Sandbox.start("small", engine_interval_seconds=0.5) as system:
        changes = {
            "health": {"infrastructure": {"memory_used_percent": {"warning": 80, "critical": 95}}},
            "evolution": {"recovery": {"generation_wait_seconds": 8.0}},
            "memory_relief": {"settle_seconds": 0.1},
        }
        change_settings(system.settings_file, changes)
        yield system


@pytest.fixture
def house(_relieved):
    """A sandbox whose engine runs."""
    if not _relieved.engine.running:
        _relieved.engine.start()
    yield House(_relieved)
    _relieved.engine.stalls_after = None


def test_memory_that_is_not_high_is_shown_and_left_alone(house):
    before, host = house.system.engine.pid, Told(79)
    found = house.relieve(host)
    assert found.verdict is Verdict.OK
    assert found.summary == "sandbox used 79.0 % of its memory. That is not high: nothing was touched."
    assert any(line.startswith("t-developer-evolution: ") and f"process {before}" in line for line in found.details)
    assert house.system.engine.pid == before


def test_a_service_that_holds_much_is_restarted_and_memory_is_measured_again(house):
    before = house.system.engine.pid
    found = house.relieve(Told(90, 90, 60))
    assert found.verdict is Verdict.OK, found
    assert found.summary.startswith(
        "sandbox used 90.0 % of its memory. Done: restart t-developer-evolution, 90.0 % before and 60.0 % after; "
        "asked for by lead, approved by deputy. The evolution goes on: generation "
    )
    figures = {one.name: one.value for one in found.measurements}
    assert (figures["memory used before"], figures["memory used after"]) == (90.0, 60.0)
    assert house.system.engine.pid not in (0, before)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("after", "verdict", "hint"),
    [(85, Verdict.WARNING, "It helped, and memory is still high"), (90, Verdict.CRITICAL, "It did not help")],
)
def test_what_did_not_help_enough_is_not_called_well(house, after, verdict, hint):
    found = house.relieve(Told(90, 90, after))
    assert found.verdict is verdict
    assert found.hint.startswith(hint)


def test_caches_are_dropped_first_and_only_where_they_are_large_and_it_is_allowed(house):
    before, host = house.system.engine.pid, Told(90, 90, 70, reclaimable=30)
    found = house.relieve(host, settings=house.settings(drop_caches=True))
    assert found.verdict is Verdict.OK, found
    assert "Done: drop the kernel's caches, 90.0 % before and 70.0 % after" in found.summary
    assert "Not done, as memory is no longer high: restart t-developer-evolution." in found.summary
    assert host.said.index(["true"]) >= 0, "the commands are those of the settings"
    assert house.system.engine.pid == before


def test_caches_that_cannot_be_dropped_are_an_error_in_a_sentence(house):
    settings = house.settings(drop_caches=True, drop=("false",))
    with pytest.raises(Exception, match="`false` on sandbox ended with status 1"):
        house.relieve(Told(90, reclaimable=30), settings=settings)


def test_where_nothing_would_help_it_says_who_holds_it(house):
    before = house.system.engine.pid
    settings = house.settings(service_percent=100.0)
    for used, verdict in ((90, Verdict.WARNING), (96, Verdict.CRITICAL)):
        found = house.relieve(Told(used), settings=settings)
        assert found.verdict is verdict
        assert "Nothing that may be restarted holds much of it: the largest is " in found.summary
    assert house.system.engine.pid == before


def test_a_dry_run_shows_it_and_touches_nothing(house):
    before, request = house.system.engine.pid, house.request(dry_run=True)
    found = house.relieve(Told(90), request)
    assert found.verdict is Verdict.WARNING
    assert found.summary.endswith("To do: restart t-developer-evolution.")
    assert house.system.engine.pid == before
    with house.opened(request, Told(90)) as (relief, _):
        assert relief.journal.entries == ()
        assert relief.seen["hosts"]["sandbox"]["used_percent"] == 90.0


@pytest.mark.faults
def test_an_evolution_that_does_not_go_on_is_red_though_memory_is_well(house):
    house.system.engine.stalls_after = 0
    rules = house.settings().evolution.recovery.model_copy(update={"generation_wait_seconds": 2.0})
    settings = house.settings()
    settings = settings.model_copy(update={"evolution": settings.evolution.model_copy(update={"recovery": rules})})
    found = house.relieve(Told(90, 90, 60), settings=settings)
    assert found.verdict is Verdict.CRITICAL
    assert "The evolution does not go on: No generation above " in found.summary
    assert found.hint == "Start `tdev_recover_evolution`."
    house.system.engine.stop()


@pytest.mark.faults
def test_outside_the_window_another_person_approves_and_inside_nobody_has_to(house):
    before = house.system.engine.pid
    with pytest.raises(AccessDeniedError, match="This needs 1 approvals"):
        house.relieve(Told(90), approved=("lead",))
    assert house.system.engine.pid == before
    found = house.relieve(Told(90, 90, 60), approved=(), clock=lambda: SUNDAY)
    assert found.verdict is Verdict.OK


def test_a_host_that_is_away_is_unknown_and_one_that_nobody_knows_is_refused(house):
    class Away(LocalHost):
        def run(self, argv, **options):
            raise TargetUnreachableError("sandbox is away; look.")

    found = house.relieve(Away("sandbox"))
    assert found.verdict is Verdict.UNKNOWN
    assert "Nobody knows who holds the memory of sandbox: sandbox is away; look." in found.summary
    with pytest.raises(InputError, match=r"'elsewhere' is none of \[\[hosts\]\]; write one of sandbox"):
        house.relieve(Told(90), house.request(hosts=("elsewhere",)))


def test_a_service_that_does_not_start_holds_up_no_other_that_was_left_stopped(house):
    before, request = house.system.engine.pid, house.request(force=True)
    settings = house.settings(services=("t-developer-evolution", "t-developer-api"), service_percent=0.000001)
    with house.opened(request, Told(90), settings=settings) as (relief, _):
        assert len(relief.diagnose()) == 2
        for service in ("t-developer-evolution", "t-developer-api"):
            relief.journal.note(f"stop {service} on sandbox", "done")
        house.system.engine.stop()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(relief_module, "start_service", _api_does_not_start)
            with pytest.raises(TargetUnreachableError, match="the API does not start"):
                relief.settle()
        assert house.system.engine.pid not in (0, before)
        assert relief.is_half_done
        relief.settle()
        assert not relief.is_half_done


def _api_does_not_start(host, settings, service):
    if service == "t-developer-api":
        raise TargetUnreachableError("the API does not start; look.")
    start_service(host, settings, service)


class Killed(BaseException):
    """The worker died here."""


@pytest.mark.seeded(1)
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("line", range(1, STEPS + 1))
def test_killed_around_any_line_of_the_journal_the_retry_goes_on(house, monkeypatch, line, when, settled):
    request, note = house.request(), Journal.note

    def dies(self, step, event, **facts):
        if len(self.entries) + 1 == line and when == "before":
            raise Killed
        note(self, step, event, **facts)
        if len(self.entries) == line and when == "after":
            raise Killed

    monkeypatch.setattr(Journal, "note", dies)
    with pytest.raises(Killed):
        house.relieve(Told(90, 90, 60), request)
    monkeypatch.setattr(Journal, "note", note)
    with house.opened(request, Told(90)) as (relief, _):
        evidence, begun = relief.seen, relief.begun
        if settled and relief.is_half_done:
            relief.settle()
            assert house.system.engine.running, "no run leaves the engine stopped"
    found = house.relieve(Told(60) if begun else Told(90, 60), request)
    assert found.verdict is Verdict.OK, found
    assert house.system.engine.running
    with house.opened(request, Told(60)) as (relief, _):
        assert relief.seen == evidence

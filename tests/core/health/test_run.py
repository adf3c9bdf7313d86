"""The run: concurrent, bounded, unstoppable by a check, with causes and confirmation."""

import threading
import time

import pytest

from tdev_operators.core.errors import (
    AccessDeniedError,
    InputError,
    SettingsError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.core.health.registry import Check
from tdev_operators.core.health.run import run_health_check
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict


def result_of(name, verdict=Verdict.OK, **more):
    return CheckResult(name, verdict, f"{name} says {verdict}.", coverage=Coverage(seen=("x",)), **more)


def a_check(name, answer=None, *, needs=("database",), doubtful=False):
    """Make a check that gives, raises or calls its answer."""

    def run(system, settings):
        given = answer() if callable(answer) else answer
        if isinstance(given, Exception):
            raise given
        given = None if given is True else given
        return result_of(name, given) if isinstance(given, Verdict) else given or result_of(name)

    return Check(name, f"{name}.", needs, f"Mend {name}.", run, doubtful=doubtful)


@pytest.fixture
def run(ports, change):
    def go(*checks, timeout=5.0, out_of_scope=(), progress=None):
        settings = change(
            {
                "health.check_timeout_seconds": timeout,
                "health.confirm_pause_seconds": 0.0,
                "out_of_scope": out_of_scope,
            }
        )
        outcome = run_health_check(ports(), settings, checks=checks, progress=progress)
        return outcome, {result.check: result for result in outcome.results}

    return go


def test_all_run_at_once_and_the_order_is_kept(run):
    barrier = threading.Barrier(8, timeout=5)

    def meet():
        barrier.wait()  # passes only when all eight run at the same time

    outcome, results = run(*(a_check(f"database.c{n}", meet) for n in range(8)))
    assert outcome.verdict is Verdict.OK
    assert list(results) == [f"database.c{n}" for n in range(8)]


def test_a_check_that_hangs_is_unknown_and_the_others_still_run(run):
    released = threading.Event()
    started = time.monotonic()
    try:
        _, results = run(a_check("database.hangs", lambda: released.wait(60)), a_check("database.fine"), timeout=0.3)
    finally:
        released.set()
    assert time.monotonic() - started < 5
    assert results["database.fine"].verdict is Verdict.OK
    assert results["database.hangs"].verdict is Verdict.UNKNOWN
    assert results["database.hangs"].summary == "Did not finish in 0.3 s and was given up."
    assert results["database.hangs"].duration_seconds == pytest.approx(0.3)


def test_a_hanging_check_runs_in_a_thread_that_does_not_keep_the_process(run):
    seen = []
    run(a_check("database.c", lambda: seen.append(threading.current_thread().daemon)))
    assert seen == [True]


def test_a_check_that_raises_is_unknown_with_its_sentence(run, caplog):
    _, results = run(
        a_check("database.ours", InputError("Say it so.")),
        a_check("database.foreign", ZeroDivisionError("by zero " * 100)),
        a_check("database.fine"),
    )
    assert results["database.ours"].summary == "Could not look: Say it so."
    assert results["database.ours"].hint == "Mend database.ours."
    assert results["database.foreign"].summary == (
        "Could not look: ZeroDivisionError, a defect of ours; see the traceback in this run's log."
    )
    assert "by zero by zero" in caplog.text
    assert results["database.fine"].verdict is Verdict.OK


@pytest.mark.parametrize("error", [TargetUnreachableError("gone"), TargetTimeoutError("slow"), AccessDeniedError("no")])
def test_one_dead_target_is_one_cause(run, error):
    _, results = run(
        a_check("database.reachable", Verdict.CRITICAL),
        a_check("database.other", error),
        a_check("api.other", error, needs=("api",)),
        a_check("database.red_itself", Verdict.CRITICAL),
    )
    assert results["database.reachable"].because_of == ""
    assert results["database.other"].because_of == "database.reachable"
    assert results["api.other"].because_of == ""
    assert results["database.red_itself"].because_of == ""


def test_no_cause_while_the_target_is_reachable(run):
    _, results = run(a_check("database.reachable"), a_check("database.other", TargetTimeoutError("slow")))
    assert results["database.other"].because_of == ""


def test_a_defect_of_ours_is_not_blamed_on_the_target(run):
    _, results = run(a_check("database.reachable", Verdict.CRITICAL), a_check("database.other", KeyError("row")))
    assert results["database.other"].because_of == ""


def test_a_claimed_cause_must_be_red(run):
    def claims():
        return CheckResult("evolution.b", Verdict.UNKNOWN, "Too little.", because_of="evolution.a")

    _, results = run(a_check("evolution.a"), a_check("evolution.b", claims))
    assert results["evolution.b"].because_of == ""
    _, results = run(a_check("evolution.a", Verdict.CRITICAL), a_check("evolution.b", claims))
    assert results["evolution.b"].because_of == "evolution.a"


def samples(*verdicts):
    left = iter(verdicts)
    return lambda: next(left)


@pytest.mark.parametrize(
    ("taken", "verdict"),
    [
        ((Verdict.CRITICAL, Verdict.OK, Verdict.WARNING), Verdict.WARNING),
        ((Verdict.CRITICAL, Verdict.CRITICAL), Verdict.CRITICAL),
        ((Verdict.CRITICAL, Verdict.OK, Verdict.CRITICAL), Verdict.CRITICAL),
        ((Verdict.CRITICAL, Verdict.OK, Verdict.UNKNOWN), Verdict.CRITICAL),
        ((Verdict.CRITICAL, TargetTimeoutError("slow")), Verdict.CRITICAL),
        ((Verdict.CRITICAL, ZeroDivisionError("ours")), Verdict.CRITICAL),
        ((Verdict.WARNING,), Verdict.WARNING),
    ],
)
def test_a_doubtful_critical_needs_one_of_two_more_samples(run, taken, verdict):
    _, results = run(a_check("api.latency", samples(*taken), doubtful=True))
    assert results["api.latency"].verdict is verdict
    refuted = taken[0] is Verdict.CRITICAL and verdict is Verdict.WARNING
    assert ("1 of 3 samples" in results["api.latency"].summary) is refuted


def test_who_cannot_reach_its_target_looks_once_more(run):
    skipped = CheckResult("api.b", Verdict.UNKNOWN, "Nobody there.", because_of="api.reachable")
    _, results = run(
        a_check("api.reachable", samples(Verdict.CRITICAL, Verdict.OK, Verdict.OK), doubtful=True),
        a_check("api.a", samples(TargetUnreachableError("gone"), Verdict.OK)),
        a_check("api.b", samples(skipped, Verdict.OK)),
        a_check("api.c", samples(AccessDeniedError("no"))),
    )
    verdicts = [results[f"api.{name}"].verdict for name in ("reachable", "a", "b", "c")]
    assert verdicts == [Verdict.WARNING, Verdict.OK, Verdict.OK, Verdict.UNKNOWN]


def test_a_second_look_is_not_answered_by_what_an_adapter_remembers(ports, change):
    deeds = []

    def look(system, settings):
        deeds.append("look")
        raise TargetTimeoutError("slow")

    check = Check("api.a", "A.", ("api",), "Mend.", look)
    settings = change({"health.check_timeout_seconds": 5.0, "health.confirm_pause_seconds": 0.0})
    run_health_check(ports(forget_outages=lambda: deeds.append("forget")), settings, checks=[check])
    assert deeds == ["look", "forget", "look"]


def test_what_is_not_doubtful_is_not_asked_again(run):
    _, results = run(a_check("api.endpoints", samples(Verdict.CRITICAL)))
    assert results["api.endpoints"].verdict is Verdict.CRITICAL


def test_a_critical_whose_confirmation_hangs_stands(run):
    released = threading.Event()
    answers = iter([lambda: Verdict.CRITICAL, lambda: released.wait(60) and Verdict.OK])

    def sample():
        return next(answers)()

    try:
        _, results = run(a_check("api.latency", sample, doubtful=True), timeout=0.3)
    finally:
        released.set()
    assert results["api.latency"].verdict is Verdict.CRITICAL
    assert "Not confirmed" in results["api.latency"].summary


def test_out_of_scope_checks_are_not_run_and_are_listed(run):
    entry = OutOfScopeSettings(check="api.*", reason="there is no API", owner="ops")
    outcome, results = run(
        a_check("api.reachable", AssertionError("must not run"), needs=("api",)),
        a_check("database.reachable"),
        out_of_scope=(entry,),
    )
    assert list(results) == ["database.reachable"]
    assert [(o.check, o.reason, o.owner) for o in outcome.out_of_scope] == [("api.reachable", "there is no API", "ops")]
    assert outcome.verdict is Verdict.OK


def test_everything_out_of_scope_is_not_green(run):
    entry = OutOfScopeSettings(check="api.*", reason="r", owner="o")
    outcome, _ = run(a_check("api.reachable", needs=("api",)), out_of_scope=(entry,))
    assert outcome.verdict is Verdict.UNKNOWN


def test_an_out_of_scope_name_that_matches_nothing_is_refused(run):
    entry = OutOfScopeSettings(check="database.deadtuples", reason="r", owner="o")
    with pytest.raises(SettingsError, match=r"no check is named 'database\.deadtuples'"):
        run(a_check("database.dead_tuples"), out_of_scope=(entry,))


def test_progress_gives_a_line_a_check_in_the_callers_thread(run):
    lines, threads = [], set()

    def progress(line):
        lines.append(line)
        threads.add(threading.current_thread())

    run(a_check("database.a"), a_check("database.b", KeyError("x")), progress=progress)
    assert len(lines) == 2
    assert any(line.startswith("OK       database.a (") for line in lines)
    assert threads == {threading.current_thread()}

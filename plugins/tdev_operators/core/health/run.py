"""The health check: all checks at once, each bounded in time, none able to stop the others."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from tdev_operators.core.errors import TdevError, TransientError, sentence_of
from tdev_operators.core.health.registry import REACHABILITY, Check, all_checks, refuse_unknown_names
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.scope import parted
from tdev_operators.core.verdicts import CheckResult, Verdict

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

_SAMPLES = 3

_log = logging.getLogger(__name__)


def run_health_check(
    system: "SystemPorts",
    settings: "Settings",
    *,
    progress: Callable[[str], object] | None = None,
    checks: Sequence[Check] | None = None,
) -> ItemOutcome:
    """Run all checks (or those given) that are in scope and return what they found, in their order.

    Takes about as long as the slowest check and never longer than `check_timeout_seconds` and a little. A check that
    raises or does not finish is UNKNOWN and says why; where the reachability check of its target is red, it names
    that as its cause. `progress` is called in this thread with one line for each check that ends.

    Raises:
        SettingsError: `[[out_of_scope]]` or `[[silences]]` name a check that does not exist.
    """
    checks = all_checks() if checks is None else checks
    refuse_unknown_names(settings, (check.name for check in checks))
    wanted, out_of_scope = parted([check.name for check in checks], settings)
    in_scope = [check for check in checks if check.name in wanted]
    started_at = system.clock()
    ended = _run_all(in_scope, system, settings, progress or (lambda _line: None))
    return ItemOutcome(_with_causes(in_scope, ended), started_at, system.clock(), out_of_scope)


@dataclass(slots=True)
class _Running:
    """A check on its way. `unconfirmed` is its CRITICAL first sample while more are being taken."""

    check: Check
    unconfirmed: CheckResult | None = None


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a check ended. `could_not_look` means that its target, and no defect of ours, kept it from judging."""

    check: Check
    result: CheckResult
    could_not_look: bool = False


def _run_all(
    checks: Sequence[Check], system: "SystemPorts", settings: "Settings", progress: Callable[[str], object]
) -> dict[str, _Ended]:
    limit = settings.health.check_timeout_seconds
    deadline = time.monotonic() + limit
    arrivals: SimpleQueue[_Ended] = SimpleQueue()
    running = {check.name: _Running(check) for check in checks}
    for one in running.values():
        # A daemon: a library that hangs must keep neither this run nor the process.
        threading.Thread(
            target=_run_one, args=(one, system, settings, arrivals), name=one.check.name, daemon=True
        ).start()
    ended: dict[str, _Ended] = {}
    while running:
        try:
            arrived = [arrivals.get(timeout=max(0.0, deadline - time.monotonic()))]
        except Empty:
            arrived = [_given_up(one, limit) for one in running.values()]
        for end in arrived:
            del running[end.check.name]
            ended[end.check.name] = end
            result = end.result
            progress(f"{result.verdict:8} {result.check} ({result.duration_seconds:.2f} s): {result.summary}")
    return ended


def _run_one(running: _Running, system: "SystemPorts", settings: "Settings", arrivals: SimpleQueue[_Ended]) -> None:
    check = running.check
    started = time.monotonic()
    try:
        result = _looked(check, system, settings)
        if check.doubtful and result.verdict is Verdict.CRITICAL:
            running.unconfirmed = result
            result = _confirmed(result, check, system, settings)
        end = _Ended(check, result.timed(time.monotonic() - started))
    except Exception as error:  # noqa: BLE001  the boundary: whatever a check raises, the others go on
        sentence = sentence_of(error, check.name, _log)
        failure = CheckResult(check.name, Verdict.UNKNOWN, f"Could not look: {sentence}")
        end = _Ended(check, failure.timed(time.monotonic() - started), could_not_look=isinstance(error, TdevError))
    arrivals.put(end)


def _looked(check: Check, system: "SystemPorts", settings: "Settings") -> CheckResult:
    """Look at the target; when it cannot be reached, look once more: a lost packet must leave no red check."""
    try:
        result = check.run(system, settings)
    except TransientError:
        pass
    else:
        if result.verdict is not Verdict.UNKNOWN or result.because_of not in REACHABILITY.values():
            return result
    return _looked_again(check, system, settings)


def _looked_again(check: Check, system: "SystemPorts", settings: "Settings") -> CheckResult:
    time.sleep(settings.health.confirm_pause_seconds)
    system.forget_outages()
    return check.run(system, settings)


def _confirmed(first: CheckResult, check: Check, system: "SystemPorts", settings: "Settings") -> CheckResult:
    """Take two more samples; the CRITICAL stands unless both were taken and refute it."""
    for _ in range(_SAMPLES - 1):
        try:
            sample = _looked_again(check, system, settings)
        except Exception:  # noqa: BLE001  a sample that cannot be taken, for whatever reason, refutes nothing
            return first
        if sample.verdict.is_red:
            return first
    return replace(first, verdict=Verdict.WARNING, summary=f"{first.summary} (1 of {_SAMPLES} samples.)")


def _given_up(running: _Running, limit: float) -> _Ended:
    name = running.check.name
    if first := running.unconfirmed:
        summary = f"{first.summary} (Not confirmed: more samples took longer than {limit:g} s.)"
        return _Ended(running.check, replace(first, summary=summary).timed(limit))
    sentence = f"Did not finish in {limit:g} s and was given up."
    return _Ended(running.check, CheckResult(name, Verdict.UNKNOWN, sentence).timed(limit), could_not_look=True)


def _with_causes(checks: Sequence[Check], ended: dict[str, _Ended]) -> tuple[CheckResult, ...]:
    """Return the results in order, each with a hint, and with its root cause where another check found that."""
    red = {name for name, end in ended.items() if end.result.verdict.is_red}

    def cause(end: _Ended) -> str:
        if end.result.verdict is not Verdict.UNKNOWN:
            return ""
        claimed = [end.result.because_of]
        if end.could_not_look:
            claimed += [REACHABILITY[need] for need in end.check.needs if need in REACHABILITY]
        return next((name for name in claimed if name in red and name != end.check.name), "")

    return tuple(
        replace(end.result, because_of=cause(end), hint=end.result.hint or check.hint)
        for check in checks
        for end in (ended[check.name],)
    )

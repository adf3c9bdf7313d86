"""The clock of this worker against those of the database and the object store."""

from collections.abc import Callable
from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings, judge
from tdev_operators.core.health.registry import REACHABILITY
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database", "objects")
HINT = "Look at `chronyc tracking` (or `timedatectl`) on both machines; a stopped time daemon drifts a second a day."

_SAMPLES = 3


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the part of each difference that the way there and back cannot explain against the limit.

    A clock is UNKNOWN when the way is so long that it could explain a difference of the limit.
    """
    limits = settings.health.infrastructure.clock_skew_seconds
    findings = Findings(__name__)
    sentences = []
    # S3 says whole seconds: the store's clock may be up to one second further.
    clocks: list[tuple[str, str, float, Callable[[], datetime]]] = [
        ("database", f"database {system.database.name}", 0.0, lambda: _database_clock(system)),
        ("objects", "object store", 1.0, system.objects.server_time),
    ]
    because_of = ""
    for need, target, granularity, ask in clocks:
        try:
            difference, uncertainty = _best_of(system, ask, granularity)
        except TdevError as error:
            findings.skip(target, str(error))
            because_of = REACHABILITY[need]
            continue
        certain = max(0.0, abs(difference) - uncertainty)
        if judge(certain, limits) is Verdict.OK and uncertainty >= limits.warning:
            findings.skip(
                target, f"the way there and back takes too long, a difference of {uncertainty:.1f} s could not be seen"
            )
            continue
        findings.saw(target)
        verdict = findings.measure(f"skew against {target}", round(certain, 3), "s", limits)
        sentences.append(f"The clock of {target} differs by {difference:+.2f} s (within {uncertainty:.2f} s).")
        findings.found(verdict, sentences[-1])
    return findings.conclude(" ".join(sentences), because_of=because_of)


def _best_of(system: SystemPorts, ask: Callable[[], datetime], granularity: float) -> tuple[float, float]:
    """Return difference and its uncertainty in seconds, from the sample with the shortest way."""
    samples = []
    for _ in range(_SAMPLES):
        before = system.clock()
        theirs = ask()
        after = system.clock()
        way = (after - before).total_seconds()
        ours = before.timestamp() + way / 2
        samples.append((way / 2 + granularity / 2, theirs.timestamp() + granularity / 2 - ours))
    uncertainty, difference = min(samples)
    return difference, uncertainty


def _database_clock(system: SystemPorts) -> datetime:
    moment: datetime = system.database.rows(load_sql("health/clock_skew"))[0]["server_time"]
    return moment

"""How fast the GET endpoints answer: median and 95th percentile over a few requests."""

import math
import threading
import time
from collections.abc import Callable

from tdev_operators.core.errors import TargetTimeoutError, TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("api",)
HINT = "Compare with the database's lock waits and long transactions in this report, and the host's load."
DOUBTFUL = True


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold p50 and p95 of each endpoint against their limits; one that times out while others answer is CRITICAL.

    Raises:
        TdevError: no endpoint answered in time, or one could not be asked for another reason than time.
    """
    limits = settings.health.api
    findings = Findings(__name__)
    timed_out = threading.Event()
    jobs = {endpoint.path: _samples(system, settings, endpoint.path, timed_out) for endpoint in limits.endpoints}
    # One request after another in a thread, two threads: more would measure how they wait for each other.
    answers = side_by_side(jobs, at_most=2)
    some_answered = any(isinstance(answer, list) and answer for answer in answers.values())
    for answer in answers.values():
        if isinstance(answer, TdevError) and not (some_answered and isinstance(answer, TargetTimeoutError)):
            raise answer
    slowest, requests = (0.0, ""), 0
    for path, samples in answers.items():
        if isinstance(samples, TdevError):
            findings.saw(path)
            findings.found(Verdict.CRITICAL, f"GET {path}: {samples}".rstrip(".") + ".")
            continue
        if not samples:
            findings.skip(path, "not asked after another endpoint had timed out")
            continue
        findings.saw(path)
        requests += len(samples)
        median, high = percentile(samples, 50), percentile(samples, 95)
        slowest = max(slowest, (high, path))
        verdict = max(
            findings.measure(f"GET {path} p50", round(median, 1), "ms", limits.latency_p50_ms),
            findings.measure(f"GET {path} p95", round(high, 1), "ms", limits.latency_p95_ms),
            key=lambda v: v.badness,
        )
        findings.found(
            verdict, f"GET {path} takes {median:.0f} ms (p50) and {high:.0f} ms (p95) over {len(samples)} requests."
        )
    return findings.conclude(f"{requests} requests; the slowest endpoint is {slowest[1]} with p95 {slowest[0]:.0f} ms.")


def percentile(samples: list[float], percent: float) -> float:
    """Return the nearest-rank percentile: a value that was really measured."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def _samples(
    system: SystemPorts, settings: Settings, path: str, timed_out: threading.Event
) -> Callable[[], list[float]]:
    limits = settings.health.api

    def take() -> list[float]:
        """Return answer times in ms; none when another endpoint has timed out, for each time-out costs seconds."""
        taken: list[float] = []
        started = time.monotonic()
        while not timed_out.is_set() and len(taken) < limits.requests_per_endpoint:
            try:
                taken.append(system.api.get(path).seconds * 1000)
            except TargetTimeoutError:
                timed_out.set()
                raise
            if time.monotonic() - started > limits.sampling_seconds:
                break
        return taken

    return take

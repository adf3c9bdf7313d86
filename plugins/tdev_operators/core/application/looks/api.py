"""How fast the API answers, and how often it fails."""

from dataclasses import replace
from itertools import chain

from tdev_operators.core.application.day import ApplicationDay
from tdev_operators.core.application.requests import ask, logged_requests
from tdev_operators.core.health.api.latency import percentile
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.verdicts import CheckResult, Verdict

HINT = (
    "Slow: compare with performance.top_statements and performance.lock_waits of this report. Failing: the lines of "
    "logs.errors say why."
)
KIND = "application.api"


def look(day: ApplicationDay) -> CheckResult:
    """Hold latency (p95) and failures of a few requests against their limits, and against the days before.

    Beside them stands the p95 of the real requests, where the log tells of them. Slower than usual counts only from
    `api_minimum_ms` on. The figures of a day are kept also when they are bad.
    """
    limits, rules = day.settings.performance, day.settings.health.api
    findings = Findings("performance.api")
    answers = ask(day.system, day.settings)
    taken = sorted(chain.from_iterable(asked.milliseconds for asked in answers.values()))
    why = [f"GET {path}: {error}" for path, asked in answers.items() for error in asked.errors]
    failed = sum(asked.failed for asked in answers.values())
    requests = len(taken) + failed
    logged = logged_requests(day.system.hosts, day.settings, day.at)
    failed_percent = 100 * failed / requests
    today: dict[str, float | None] = {
        "p50_ms": percentile(taken, 50) if taken else None,
        "p95_ms": percentile(taken, 95) if taken else None,
        "failed_percent": failed_percent,
        "logged_p95_ms": percentile(logged.milliseconds, 95) if logged else None,
    }
    before = day.before(KIND)
    day.keep(KIND, today)
    findings.saw(*answers)
    share = findings.measure("failed requests", round(failed_percent, 1), "%", limits.api_failed_percent)
    first = f": {why[0]}" if why else ""
    findings.found(share, f"{failed} of {requests} requests failed{first}".rstrip(".") + ".")
    for path, asked in answers.items():
        if asked.milliseconds:
            high = percentile(asked.milliseconds, 95)
            verdict = findings.measure(f"GET {path} p95", round(high, 1), "ms", rules.latency_p95_ms)
            findings.found(verdict, f"GET {path} takes {high:.0f} ms (p95).")
    told = [f"{len(taken)} requests took {today['p95_ms']:.0f} ms (p95)"] if taken else []
    if logged:
        told.append(
            f"the {len(logged.milliseconds):,} of the last {logged.hours:g} h {today['logged_p95_ms']:.0f} ms, as "
            "the log tells"
        )
    for key, name in (("p95_ms", "our requests' p95"), ("logged_p95_ms", "the logged requests' p95")):
        usual, now = day.usual(before, key), today[key]
        if usual and now is not None:
            verdict = findings.measure(f"{name}, times its usual", round(now / usual, 2), "x", limits.api_times)
            if now >= limits.api_minimum_ms and verdict is not Verdict.OK:
                findings.found(verdict, f"{name[:1].upper()}{name[1:]} is {now:.0f} ms, usually {usual:.0f} ms.")
    sentence = "; ".join(told) + "."
    series = day.trend("p95 of our requests", "ms", before, today, "p95_ms", rules.latency_p95_ms.warning)
    series += day.trend("p95 of the logged requests", "ms", before, today, "logged_p95_ms")
    return replace(findings.conclude(sentence[:1].upper() + sentence[1:]), series=series, details=tuple(why))

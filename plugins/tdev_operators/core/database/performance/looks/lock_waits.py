"""Deadlocks since yesterday, and who waits for a lock now."""

from dataclasses import replace

from tdev_operators.core.database.performance.day import FIRST, Day
from tdev_operators.core.database.performance.intervals import DAY, grown, grown_in_all
from tdev_operators.core.database.performance.sampling import ACTIVITY
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

HINT = (
    "Deadlocks: take locks in one order everywhere. Long waits: find the holder by pg_blocking_pids(pid); "
    "log_lock_waits keeps a record of each."
)

_DEADLOCKS = 2  # the place of a database's counter


def look(day: Day) -> CheckResult:
    """Hold the deadlocks of each database, a day, and the longest wait of this moment against their limits."""
    limits = day.settings.performance
    findings = Findings("performance.lock_waits")
    today = day.taken.sample(ACTIVITY)
    waits = [row for row in day.system.database.rows(load_sql("health/lock_waits")) if not row["by_design"]]
    findings.saw("sessions")
    longest = max((row["waited_seconds"] for row in waits), default=0.0)
    allowed = day.settings.health.database.lock_wait_seconds
    verdict = findings.measure("longest wait for a lock now", round(longest, 1), "s", allowed)
    findings.found(verdict, f"{len(waits)} sessions wait for a lock now, the longest for {longest:.0f} s.")
    details = [
        f"pid {row['pid']} ({row['who']}) waits {row['waited_seconds']:.0f} s for {row['mode']} on {row['target']} "
        f"behind {row['blockers'] or 'nobody any more'}"
        for row in waits
    ]
    if not today.facts["logs_lock_waits"]:
        details.append("log_lock_waits is off: waits between two looks leave no trace; turn it on.")
    before = day.before(ACTIVITY)
    now = f"{len(waits)} sessions wait for a lock now."
    if not before:
        return replace(findings.conclude(f"{now} {FIRST}", tool=day.taken.tool), details=tuple(details))
    since = before[-1].taken_at
    days = (today.taken_at - since) / DAY
    whole = 0.0
    for name, (_, _, deadlocks, reset_at) in today.facts["databases"].items():
        old = before[-1].facts["databases"].get(name, [0, 0, 0, None])
        more = grown(old[2:3], [deadlocks], reset_at, since)
        if more is None:
            findings.skip(name, "its counters became smaller without a reset (a crash): nothing can be compared")
            continue
        findings.saw(name)
        whole += more[0]
        a_day = more[0] / days
        verdict = findings.measure(f"deadlocks of {name}", round(a_day, 1), "/d", limits.deadlocks_per_day)
        findings.found(verdict, f"{name} had {more[0]:,.0f} deadlocks since {since:%Y-%m-%d %H:%M}.")
    sentence = f"{whole:,.0f} deadlocks since {since:%Y-%m-%d}. {now}"
    series = day.trend(
        ACTIVITY, "deadlocks in all databases", "/d", lambda earlier, later: grown_in_all(earlier, later, _DEADLOCKS)
    )
    return replace(findings.conclude(sentence, tool=day.taken.tool), details=tuple(details), series=series)

"""How many checkpoints came before their time, since yesterday."""

from dataclasses import replace

from tdev_operators.core.database.performance.day import FIRST, Day
from tdev_operators.core.database.performance.intervals import DAY, grown
from tdev_operators.core.database.performance.sampling import ACTIVITY
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ledger import Sample
from tdev_operators.core.verdicts import CheckResult

HINT = "Raise max_wal_size until checkpoints come by time: each early one writes whole pages into the WAL again."


def look(day: Day) -> CheckResult:
    """Hold the share of requested checkpoints against its limit, once there were enough to have a share."""
    limits = day.settings.performance
    findings = Findings("performance.checkpoints")
    today = day.taken.sample(ACTIVITY)
    before = day.before(ACTIVITY)
    findings.saw("checkpoints")
    if not before:
        return findings.conclude(FIRST, tool=day.taken.tool)
    since = before[-1].taken_at
    more = grown(before[-1].facts["checkpoints"], today.facts["checkpoints"], today.facts["checkpoints_reset"], since)
    if more is None:
        findings.skip("checkpoints", "their counters became smaller without a reset: nothing can be compared")
        return findings.conclude("Nothing can be said of checkpoints.", tool=day.taken.tool)
    timed, requested, seconds = more
    whole = timed + requested
    findings.measure("checkpoints", whole)
    findings.measure("seconds of writing", round(seconds, 1), "s")
    sentence = f"{requested:.0f} of {whole:.0f} checkpoints were requested since {since:%Y-%m-%d %H:%M}."
    if whole < limits.checkpoints_minimum:
        return findings.conclude(f"{sentence} Too few for a share to mean anything.", tool=day.taken.tool)
    series = day.trend(ACTIVITY, "requested checkpoints", "/d", _requested)
    share = 100 * requested / max(whole, 1)
    verdict = findings.measure("requested checkpoints", round(share, 1), "%", limits.requested_checkpoints_percent)
    findings.found(verdict, f"{sentence} They come because max_wal_size is reached, not because it is time.")
    return replace(findings.conclude(sentence, tool=day.taken.tool), series=series)


def _requested(before: Sample, after: Sample) -> float | None:
    old, new = before.facts["checkpoints"], after.facts["checkpoints"]
    more = grown(old, new, after.facts["checkpoints_reset"], before.taken_at)
    return None if more is None else more[1] * (DAY / (after.taken_at - before.taken_at))

"""How much was written to temporary files since yesterday, by database and by statement."""

from dataclasses import replace

from tdev_operators.core.database.performance.day import FIRST, Day
from tdev_operators.core.database.performance.intervals import DAY, grown, grown_in_all
from tdev_operators.core.database.performance.sampling import ACTIVITY
from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ledger import Sample
from tdev_operators.core.verdicts import CheckResult

HINT = (
    "Raise work_mem for the role or statement that spills (ALTER ROLE ... SET work_mem), or give its sort an index; "
    "log_temp_files shows each."
)
_GB, _MB = 1e9, 1e6
_TEMP_BYTES = 0  # the place of a database's counter


def look(day: Day) -> CheckResult:
    """Hold what each database wrote to temporary files, a day, against its limit, and name the statements."""
    limits = day.settings.performance
    findings = Findings("performance.temp_files")
    today = day.taken.sample(ACTIVITY)
    before = day.before(ACTIVITY)
    if not before:
        findings.saw(*today.facts["databases"])
        return findings.conclude(FIRST, tool=day.taken.tool)
    since = before[-1].taken_at
    days = (today.taken_at - since) / DAY
    whole = 0.0
    for name, (temp_bytes, files, _, reset_at) in today.facts["databases"].items():
        old = before[-1].facts["databases"].get(name, [0, 0, 0, None])
        wrote = grown(old[:2], [temp_bytes, files], reset_at, since)
        if wrote is None:
            findings.skip(name, "its counters became smaller without a reset (a crash): nothing can be compared")
            continue
        findings.saw(name)
        a_day = wrote[0] / days
        whole += a_day
        verdict = findings.measure(f"temporary files of {name}", round(a_day / _GB, 3), "GB/d", limits.temp_gb_per_day)
        findings.found(verdict, f"{name} wrote {a_day / _GB:.1f} GB a day to {wrote[1]:,.0f} temporary files.")
    sentence = f"{whole / _GB:.2f} GB a day went to temporary files since {since:%Y-%m-%d}."
    series = day.trend(ACTIVITY, "temporary files of all databases", "GB/d", _written)
    return replace(findings.conclude(sentence, tool=day.taken.tool), details=tuple(_by_statement(day)), series=series)


def _written(before: Sample, after: Sample) -> float | None:
    more = grown_in_all(before, after, _TEMP_BYTES)
    return None if more is None else more / _GB


def _by_statement(day: Day) -> list[str]:
    try:
        interval = day.statements
    except TdevError as error:
        return [f"Which statements wrote them is not known: {error}"]
    if interval is None:
        return []
    users = sorted(interval.spent.items(), key=lambda each: -each[1].temp_bytes)[: day.settings.performance.shown]
    return [
        f"{spent.temp_bytes / _MB:,.0f} MB in {spent.calls:,} calls: {day.named(key)}"
        for key, spent in users
        if spent.temp_bytes
    ]

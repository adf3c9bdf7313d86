"""Tables and indexes that grew since yesterday and since last week."""

from dataclasses import dataclass, replace
from datetime import timedelta

from tdev_operators.core.database.performance.day import FIRST, Day
from tdev_operators.core.database.performance.intervals import DAY
from tdev_operators.core.database.performance.sampling import SIZES
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ledger import Sample
from tdev_operators.core.series import Series
from tdev_operators.core.verdicts import CheckResult

HINT = (
    "See what writes there, and whether its retention ran; an index that grows faster than its table is bloated: "
    "REINDEX INDEX CONCURRENTLY."
)
_MB = 1e6
_A_WEEK = timedelta(days=6, hours=12)


@dataclass(frozen=True, slots=True)
class _Grown:
    """A relation's size then and now, in bytes; `before` is None for one that was not there."""

    name: str
    before: float | None
    now: float

    @property
    def by(self) -> float:
        return self.now - (self.before or 0.0)

    @property
    def percent(self) -> float:
        return 100 * self.by / max(self.before or 0.0, 1.0)


def look(day: Day) -> CheckResult:
    """Hold each relation's growth in a week against its limit; smaller growth is told only."""
    limits = day.settings.performance
    findings = Findings("performance.growth")
    today = day.taken.sample(SIZES)
    before = day.before(SIZES)
    findings.saw(f"{len(today.facts['tables'])} tables", f"{len(today.facts['indexes'])} indexes")
    findings.measure("size of the database", round(today.facts["database_bytes"] / _MB), "MB")
    if not before:
        return findings.conclude(FIRST, tool=day.taken.tool)
    yesterday = before[-1]
    weeks = [sample for sample in before if today.taken_at - sample.taken_at >= _A_WEEK]
    lines = _lines("since", yesterday, today, limits.shown)
    whole = today.facts["database_bytes"] - yesterday.facts["database_bytes"]
    way = "grew" if whole >= 0 else "shrank"
    sentence = f"The database {way} by {abs(whole) / _MB:,.1f} MB since {yesterday.taken_at:%Y-%m-%d %H:%M}"
    if not weeks:
        sentence += "; there is no sample of a week ago to hold the tables against yet."
        return replace(findings.conclude(sentence, tool=day.taken.tool), details=tuple(lines), series=_trend(day))
    week = weeks[-1]
    span_days = (today.taken_at - week.taken_at) / DAY
    for each in _relations(week, today):
        if each.before is None or each.by < limits.growth_minimum_mb * _MB:
            continue
        percent = each.percent * 7 / span_days
        if percent >= limits.growth_week_percent.warning:
            verdict = findings.measure(
                f"{each.name}, growth in a week", round(percent, 1), "%", limits.growth_week_percent
            )
            findings.found(verdict, f"{_told(each)} since {week.taken_at:%Y-%m-%d}.")
    lines += _lines("since", week, today, limits.shown)
    return replace(findings.conclude(f"{sentence}.", tool=day.taken.tool), details=tuple(lines), series=_trend(day))


def _trend(day: Day) -> tuple[Series, ...]:
    return day.trend(SIZES, "size of the database", "MB", lambda _, after: after.facts["database_bytes"] / _MB)


def _relations(before: Sample, today: Sample) -> list[_Grown]:
    """Return tables (with their partitions, without indexes) and indexes; the fastest growing first."""
    found = []
    for kind, key, whole in (("table", "tables", "all_tables"), ("index", "indexes", "all_indexes")):
        known = before.facts[key]
        found += [
            _Grown(f"{kind} {name}", known[name][0] if name in known else None, sizes[0])
            for name, sizes in today.facts[key].items()
            if name in known or before.facts[whole]  # else it may only have been too small to be kept
        ]
    return sorted(found, key=lambda each: -each.by)


def _lines(word: str, before: Sample, today: Sample, most: int) -> list[str]:
    grown = [each for each in _relations(before, today) if each.by > 0][:most]
    return [f"{word} {before.taken_at:%Y-%m-%d %H:%M}: {_told(each)}" for each in grown]


def _told(each: _Grown) -> str:
    if each.before is None:
        return f"{each.name} is new, {each.now / _MB:,.1f} MB"
    return f"{each.name} grew by {each.by / _MB:,.1f} MB ({each.percent:.0f} %) to {each.now / _MB:,.1f} MB"

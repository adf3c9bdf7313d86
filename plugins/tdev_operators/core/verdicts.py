"""The one value for every result: what was found, held against which limit, and how much was looked at.

Green has to be earned: a result that saw no target, skipped one, or rests on old data cannot be OK.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from tdev_operators.core.series import Series


class Verdict(StrEnum):
    """Outcome of a check, an item or a run, from good to bad: OK, WARNING, UNKNOWN, CRITICAL."""

    OK = "OK"
    WARNING = "WARNING"
    UNKNOWN = "UNKNOWN"
    CRITICAL = "CRITICAL"

    @property
    def badness(self) -> int:
        """Rank for comparison, 0 (OK) to 3 (CRITICAL). UNKNOWN outranks WARNING: nobody knows how bad it is."""
        return _BADNESS[self]

    @property
    def is_red(self) -> bool:
        """Whether a run with this verdict must fail."""
        return self in (Verdict.CRITICAL, Verdict.UNKNOWN)


_BADNESS = {Verdict.OK: 0, Verdict.WARNING: 1, Verdict.UNKNOWN: 2, Verdict.CRITICAL: 3}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of the verdicts. Of none it is UNKNOWN: an empty list of checks proves nothing."""
    return max(verdicts, key=lambda v: v.badness, default=Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure and the limits it was held against (`None` where there is none).

    `name` says what was measured and of which target, `unit` is the unit of all three figures.
    """

    name: str
    value: float | None
    unit: str = ""
    warning: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much a result rests on.

    `seen` and `skipped` name targets; `skipped` maps a target to the reason. `data_age_seconds` is the age of the data
    that was judged (0 for a live look), `tool` the name and version of whatever looked, `canary_found` whether
    a planted finding was found (`None` where the check has no canary).
    """

    seen: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    data_age_seconds: float = 0.0
    tool: str = ""
    canary_found: bool | None = None

    @property
    def gap(self) -> str:
        """Why this coverage cannot carry an OK; empty when it can."""
        if self.canary_found is False:
            return "the planted canary was not found"
        if self.skipped:
            target, reason = next(iter(self.skipped.items()))
            more = f" and {len(self.skipped) - 1} more" if len(self.skipped) > 1 else ""
            return f"{target} was not looked at ({reason}){more}"
        if not self.seen:
            return "no target was looked at"
        return ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found: a sentence, a verdict, the figures, and what to do about it.

    An OK or WARNING whose coverage has a gap becomes UNKNOWN when the result is made. `because_of` names the check
    that found the root cause when this one could not look for that reason; such a result is shown, never alerted.
    `details` are lines for who reads on: statements, targets, a table; the report shows them as they are.
    `series` are figures over time; the report draws them.
    """

    check: str
    verdict: Verdict
    summary: str
    measurements: tuple[Measurement, ...] = ()
    hint: str = ""
    coverage: Coverage = field(default_factory=Coverage)
    duration_seconds: float = 0.0
    because_of: str = ""
    details: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()

    def __post_init__(self) -> None:
        gap = self.coverage.gap
        if gap and self.verdict in (Verdict.OK, Verdict.WARNING):
            object.__setattr__(self, "verdict", Verdict.UNKNOWN)
            object.__setattr__(self, "summary", f"{self.summary} Not proven: {gap}.".strip())

    @property
    def area(self) -> str:
        """The first part of the check's name: `database` of `database.dead_tuples`."""
        return self.check.partition(".")[0]

    def timed(self, seconds: float) -> Self:
        """Return this result with the time that the check took."""
        return replace(self, duration_seconds=seconds)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only; `from_json` is the inverse."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "summary": self.summary,
            "measurements": [
                {"name": m.name, "value": m.value, "unit": m.unit, "warning": m.warning, "critical": m.critical}
                for m in self.measurements
            ],
            "hint": self.hint,
            "coverage": {
                "seen": list(self.coverage.seen),
                "skipped": dict(self.coverage.skipped),
                "data_age_seconds": self.coverage.data_age_seconds,
                "tool": self.coverage.tool,
                "canary_found": self.coverage.canary_found,
            },
            "duration_seconds": round(self.duration_seconds, 4),
            "because_of": self.because_of,
            "details": list(self.details),
            "series": [series.to_json() for series in self.series],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a result from `to_json`'s output."""
        coverage = data["coverage"]
        return cls(
            check=data["check"],
            verdict=Verdict(data["verdict"]),
            summary=data["summary"],
            measurements=tuple(Measurement(**m) for m in data["measurements"]),
            hint=data["hint"],
            coverage=Coverage(**{**coverage, "seen": tuple(coverage["seen"])}),
            duration_seconds=data["duration_seconds"],
            because_of=data["because_of"],
            details=tuple(data.get("details", ())),  # a ledger has results from before there were any
            series=tuple(Series.from_json(series) for series in data.get("series", ())),
        )


@dataclass(frozen=True, slots=True)
class OutOfScope:
    """A check that the settings switch off, with the person who answers for that."""

    check: str
    reason: str
    owner: str

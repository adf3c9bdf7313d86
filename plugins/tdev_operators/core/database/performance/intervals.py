"""From cumulative counters to what happened between two looks. Pure.

A counter that was reset begins at 0 then: what it shows is what came since, and is judged as that. One that became
smaller without a reset was evicted or zeroed alone: nothing can be said of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.ledger import Sample

DAY = timedelta(days=1)
# Two samples nearer than this are one day's: a run that was started again by hand.
_A_DAY_AT_LEAST = timedelta(hours=18)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a statement cost in an interval. `new`: its counters began in it."""

    calls: int
    milliseconds: float
    temp_bytes: float
    new: bool = False

    @property
    def mean_ms(self) -> float:
        """Milliseconds a call."""
        return self.milliseconds / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened between two samples: by statement; and what cannot be judged, with the reason."""

    start: datetime
    end: datetime
    spent: Mapping[str, Spent]
    unjudged: Mapping[str, str]
    reset: bool = False
    evictions: int = 0

    @property
    def days(self) -> float:
        """Its length; never 0."""
        return max((self.end - self.start) / DAY, 1e-6)

    @property
    def milliseconds(self) -> float:
        """Execution time of all judged statements."""
        return sum(spent.milliseconds for spent in self.spent.values())


def daily_samples(samples: Sequence[Sample], now: datetime) -> list[Sample]:
    """Return the samples before today's, the oldest first, at least 18 hours apart from each other and from now."""
    kept: list[Sample] = []
    later = now
    for sample in sorted(samples, key=lambda sample: sample.taken_at, reverse=True):
        if later - sample.taken_at >= _A_DAY_AT_LEAST:
            kept.append(sample)
            later = sample.taken_at
    return kept[::-1]


def statements_between(before: Sample, after: Sample) -> Interval:
    """Return what each statement of `after` cost since `before`."""
    old, new = before.facts, after.facts
    reset_at = _moment(new["reset"])
    reset = (reset_at is not None and reset_at > before.taken_at) or new["evictions"] < old["evictions"]
    evictions = max(new["evictions"] - old["evictions"], 0)
    spent: dict[str, Spent] = {}
    unjudged: dict[str, str] = {}
    for key, (calls, milliseconds, temp_bytes, since_text) in new["statements"].items():
        since = _moment(since_text)
        known = old["statements"].get(key)
        if reset:
            spent[key] = Spent(calls, milliseconds, temp_bytes)
        elif since is not None and since > before.taken_at:
            # An entry that was evicted and came back looks the same as one that is new.
            spent[key] = Spent(calls, milliseconds, temp_bytes, new=known is None and not evictions)
        elif known is None and old["floor_ms"] is not None:
            unjudged[key] = "it was not among those that are kept"
        elif known is None:
            spent[key] = Spent(calls, milliseconds, temp_bytes, new=not evictions)
        elif calls < known[0] or milliseconds < known[1]:
            unjudged[key] = "its counters became smaller"
        elif evictions and since is None:
            unjudged[key] = "statements were evicted meanwhile, perhaps this one too"
        else:
            spent[key] = Spent(calls - known[0], milliseconds - known[1], max(temp_bytes - known[2], 0.0))
    start = max(before.taken_at, reset_at) if reset and reset_at else before.taken_at
    return Interval(
        start=start,
        end=after.taken_at,
        spent={key: each for key, each in spent.items() if each.calls},
        unjudged=unjudged,
        reset=reset,
        evictions=evictions,
    )


def grown(old: Sequence[float], new: Sequence[float], reset_at: str | None, since: datetime) -> list[float] | None:
    """Return by how much counters grew since a moment; what they show when reset since then; None when they shrank."""
    when = _moment(reset_at)
    if when is not None and when > since:
        return list(new)
    differences = [after - before for before, after in zip(old, new, strict=True)]
    return None if min(differences) < 0 else differences


def grown_in_all(before: Sample, after: Sample, place: int) -> float | None:
    """Return by how much a counter of all databases grew a day between two samples; None when one of them shrank."""
    whole = 0.0
    for name, figures in after.facts["databases"].items():
        old = before.facts["databases"].get(name, [0.0] * len(figures))
        more = grown([old[place]], [figures[place]], figures[-1], before.taken_at)
        if more is None:
            return None
        whole += more[0]
    return whole * (DAY / (after.taken_at - before.taken_at))


def _moment(text: Any) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

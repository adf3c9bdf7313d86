"""What was counted, by hour: added up over files and sources, kept in the ledger, and read again the next day."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_MOST_PARTS = 20
OTHERS = "others"


@dataclass(slots=True)
class Cell:
    """The lines of one pattern in one hour: how many, of which level and component, the first and the last of them."""

    lines: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""

    def add(self, other: "Cell") -> None:
        """Add lines that were written after these, as far as anybody knows: samples are of the order of the stamps."""
        self.lines += other.lines
        self.parts.update(other.parts)
        texts = [text for text in (self.first, other.first) if text]
        self.first = min(texts, default="")
        self.last = max(self.last, other.last)

    def to_json(self) -> list[Any]:
        """Return plain JSON types only."""
        common = self.parts.most_common(_MOST_PARTS)
        rest = self.lines - sum(count for _, count in common)
        return [self.lines, dict(common) | ({OTHERS: rest} if rest > 0 else {}), self.first, self.last]


@dataclass(slots=True)
class Tally:
    """Lines by hour (hours since 1970): all of them, those of each level, and those of each pattern."""

    lines: Counter[int] = field(default_factory=Counter)
    levels: dict[int, Counter[str]] = field(default_factory=dict)
    hits: dict[str, dict[int, Cell]] = field(default_factory=dict)

    def cell(self, pattern: str, hour: int) -> Cell:
        """Return the cell of a pattern in an hour, made when it is new."""
        hours = self.hits.setdefault(pattern, {})
        found = hours.get(hour)
        if found is None:
            found = hours[hour] = Cell()
        return found

    def add(self, other: "Tally") -> None:
        """Add what was counted elsewhere."""
        self.lines.update(other.lines)
        for hour, levels in other.levels.items():
            self.levels.setdefault(hour, Counter()).update(levels)
        for pattern, hours in other.hits.items():
            for hour, cell in hours.items():
                self.cell(pattern, hour).add(cell)

    def without(self, before: int, after: int | None = None) -> "Tally":
        """Return what lies in the hours from `before` on, and up to `after`."""

        def kept(hour: int) -> bool:
            return before <= hour and (after is None or hour <= after)

        return Tally(
            Counter({hour: count for hour, count in self.lines.items() if kept(hour)}),
            {hour: levels for hour, levels in self.levels.items() if kept(hour)},
            {
                pattern: {hour: cell for hour, cell in hours.items() if kept(hour)}
                for pattern, hours in self.hits.items()
            },
        )

    def total(self, pattern: str) -> Cell:
        """Return all hours of a pattern as one, its samples in the order of the hours."""
        whole = Cell()
        for _, cell in sorted(self.hits.get(pattern, {}).items()):
            whole.add(cell)
        return whole

    def by_level(self) -> Counter[str]:
        """Return how many lines of each level there are."""
        whole: Counter[str] = Counter()
        for levels in self.levels.values():
            whole.update(levels)
        return whole

    def by_hour(self, pattern: str) -> dict[int, int]:
        """Return how many lines of a pattern each hour has."""
        return {hour: cell.lines for hour, cell in self.hits.get(pattern, {}).items()}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only; `from_json` is the inverse."""
        return {
            "lines": {str(hour): count for hour, count in self.lines.items()},
            "levels": {str(hour): dict(levels) for hour, levels in self.levels.items()},
            "hits": {
                pattern: {str(hour): cell.to_json() for hour, cell in hours.items()}
                for pattern, hours in self.hits.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a tally from `to_json`'s output."""
        return cls(
            Counter({int(hour): count for hour, count in data.get("lines", {}).items()}),
            {int(hour): Counter(levels) for hour, levels in data.get("levels", {}).items()},
            {
                pattern: {
                    int(hour): Cell(lines, Counter(parts), first, last)
                    for hour, (lines, parts, first, last) in hours.items()
                }
                for pattern, hours in data.get("hits", {}).items()
            },
        )


def together(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole

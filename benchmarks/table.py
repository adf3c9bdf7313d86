"""One benchmark's result: a line of the table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured against what: both in seconds, medians of `runs`."""

    work: str
    seconds: float
    against: str
    against_seconds: float
    runs: int

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the other."""
        return self.seconds / self.against_seconds


def median_of(runs: int, measure: Callable[[], float]) -> float:
    """Return the median of several measurements, after one that does not count."""
    measure()
    return median(measure() for _ in range(runs))


def print_table(rows: Iterable[Row]) -> None:
    """Print the rows as a Markdown table."""
    print("| work | s | against | s | ratio | runs |\n|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.work} | {row.seconds:.3f} | {row.against} | {row.against_seconds:.3f} "
            f"| {row.ratio:.3f} | {row.runs} |"
        )

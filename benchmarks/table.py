"""One benchmark's result: a line of the table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.measuring import Cpu


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured against what: both in seconds, or in `unit`, medians of `runs`.

    `at_most` is the ratio that was promised. CPU seconds stand beside where they were measured.
    """

    work: str
    seconds: float
    against: str
    against_seconds: float
    runs: int
    at_most: float | None = None
    cpu: Cpu | None = None
    against_cpu: Cpu | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the other."""
        return self.seconds / self.against_seconds

    @property
    def kept(self) -> bool:
        """Whether the promise was kept; a row without one keeps it."""
        return self.at_most is None or self.ratio <= self.at_most


def median_of(runs: int, measure: Callable[[], float]) -> float:
    """Return the median of several measurements, after one that does not count."""
    measure()
    return median(measure() for _ in range(runs))


def print_table(rows: Iterable[Row]) -> None:
    """Print the rows as a Markdown table, each as soon as it is there; a broken promise says so."""
    print("CPU: seconds of client/server/store.\n")
    print("| work | | against | | ratio | at most | CPU | its CPU | runs |\n|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        limit = "" if row.at_most is None else f"{row.at_most:.3f}{'' if row.kept else ' MISSED'}"
        print(
            f"| {row.work} | {row.seconds:.3f} {row.unit} | {row.against} | {row.against_seconds:.3f} {row.unit} "
            f"| {row.ratio:.3f} | {limit} | {row.cpu or ''} | {row.against_cpu or ''} | {row.runs} |",
            flush=True,
        )

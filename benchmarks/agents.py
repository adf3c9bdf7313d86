"""A thousand agents made smaller with the whole proof, on two cores, against the same ladder one agent at a time."""

import os
import time
from collections.abc import Iterator, Mapping
from statistics import median

from benchmarks.table import Row
from sandbox.agent_sources import BYTES_A_KB, agent_source
from tdev_operators.core.agents.ladder import Goal
from tdev_operators.core.agents.workers import Workers
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

_AGENTS = 1_000
_ALONE = 100  # one at a time; scaled up, for it takes as long for each
_RUNS = 3
_MOST_SECONDS = 600.0


def rows(*, scale: float | None = None, runs: int | None = None) -> Iterator[Row]:
    """Yield the table's rows; `scale` (default: `TDEV_BENCH_SCALE`, or 1) is a share of the agents."""
    scale = float(os.environ.get("TDEV_BENCH_SCALE", "1")) if scale is None else scale
    runs = int(os.environ.get("TDEV_BENCH_RUNS", _RUNS)) if runs is None else runs
    count = max(8, int(_AGENTS * scale))
    few = max(4, int(_ALONE * scale))
    sources = {str(number): agent_source("bench", number, int(6.3 * BYTES_A_KB)).source for number in range(count)}
    together = median(_optimised(sources, at_once=2) for _ in range(runs))
    part = dict(list(sources.items())[:few])
    alone = median(_optimised(part, at_once=1) for _ in range(runs)) * count / few
    what = f"{count} agents optimised with full proof, 2 processes"
    yield Row(what, together, "one at a time", alone, runs, at_most=0.6)
    yield Row(what, together, f"{_MOST_SECONDS:g} s a thousand", _MOST_SECONDS * count / _AGENTS, runs, at_most=1.0)


def _optimised(sources: Mapping[str, str], *, at_once: int) -> float:
    """Return the seconds for all of them, the probing of the barriers not included."""
    settings = load_settings(include_dir() / "tdev.toml").agents
    rules = settings.optimiser.model_copy(update={"at_once": at_once})
    goal = Goal(settings.near_limit_kb, settings.max_size_kb, settings.max_instantiation_us)
    with Workers(rules, goal) as workers:
        assert not workers.held.missing, workers.held.sentence
        began = time.perf_counter()
        done = dict(workers.each(sources, until=time.monotonic() + 3_600))
        taken = time.perf_counter() - began
    small = [one for one in done.values() if one.source is not None and one.after.source <= goal.near_limit_kb * 1024]
    # Some are refused in the end, which takes as long: their recorded calls do not run through enough of their lines.
    assert len(small) >= 0.95 * len(sources), [one.refusal for one in done.values() if one.source is None]
    return taken

"""A day of logs, plain and packed, counted by five patterns: against the guide's search in each line, and ripgrep.

Rivals count lines by pattern and nothing else; ours counts by hour, level and component, too, looks for new shapes, and
proves itself by planted lines. The plain files are read once before, so that no disk is measured.
"""

import gzip
import json
import os
import random
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.measuring import Cpu, Servers, measure_apart, median_measured
from benchmarks.table import Row
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

_PLAIN_MB, _PACKED_MB = 1000, 200
_FILES = 2
_RUNS = 3
_MEMORY_MIB = 150
_PIECE_BYTES = 20_000_000
_NOW = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
_COMPONENTS = ("api", "evolution", "scheduler", "pool", "memory", *(f"worker-{number}" for number in range(8)))


def rows(*, scale: float | None = None, runs: int | None = None) -> Iterator[Row]:
    """Yield the table's rows; `scale` (default: `TDEV_BENCH_SCALE`, or 1) is a share of the gigabyte."""
    scale = float(os.environ.get("TDEV_BENCH_SCALE", "1")) if scale is None else scale
    runs = int(os.environ.get("TDEV_BENCH_RUNS", _RUNS)) if runs is None else runs
    ripgrep = shutil.which("rg")
    with tempfile.TemporaryDirectory(prefix="tdev-bench-logs-") as home:
        both, plain, spare = Path(home) / "both", Path(home) / "plain", Path(home) / "spare"
        for folder in (both, plain, spare):
            folder.mkdir()
        _write(both, plain, scale)
        size = f"{scale * _PLAIN_MB:g} MB plain + {scale * _PACKED_MB:g} MB gz"
        guide_seconds, guide_cpu, guide = _guide(both, [[name] for name in _patterns()])
        kinder_seconds, kinder_cpu, kinder = _guide(both, [list(_patterns())])
        assert kinder == guide, (kinder, guide)
        measured = [measure_apart(partial(_ours, str(both)), Servers(None, None), spare) for _ in range(runs)]
        ours = json.loads((both / ".counts").read_text(encoding="utf-8"))
        assert ours == guide, (ours, guide)
        middle = median_measured(measured)
        seconds, cpu = middle.seconds, middle.cpu
        work = f"logs, 5 patterns: {size}"
        yield Row(work, seconds, "the guide's re.search, once a pattern", guide_seconds, runs, 0.05, cpu, guide_cpu)
        yield Row("the same", seconds, "five re.search in one pass", kinder_seconds, runs, None, cpu, kinder_cpu)
        if ripgrep:
            rival, rival_cpu, counts = _ripgrep(ripgrep, both)
            assert counts == guide, (counts, guide)
            yield Row("the same", seconds, "ripgrep -c -z, once a pattern", rival, runs, 2.0, cpu, rival_cpu)
            alone = median_measured(
                measure_apart(partial(_ours, str(plain)), Servers(None, None), spare) for _ in range(runs)
            )
            rival, rival_cpu, _ = sorted((_ripgrep(ripgrep, plain) for _ in range(runs)), key=lambda run: run[0])[
                (runs - 1) // 2
            ]
            work = f"{scale * _PLAIN_MB:g} MB plain alone"
            yield Row(work, alone.seconds, "ripgrep -c, once a pattern", rival, runs, None, alone.cpu, rival_cpu)
        else:
            print("| the same | NOT RUN: apt-get install ripgrep | | | | | | | |")
        peak = max(each.peak_memory_bytes or 0 for each in measured) / 1024**2
        yield Row("peak memory, whole process", peak, "the limit", _MEMORY_MIB, runs, at_most=1.0, unit="MiB")


def _patterns() -> Mapping[str, str]:
    return {each.name: each.regex for each in load_settings(include_dir() / "tdev.toml").logs.patterns}


def _write(both: Path, plain: Path, scale: float) -> None:
    """Write the files: pieces of one text, each in an hour of its own."""
    piece = _piece(min(_PIECE_BYTES, int(scale * _PLAIN_MB * 1e6 / _FILES)))
    packed = gzip.compress(piece.replace(b"T@@:", b"T01:"), compresslevel=6)
    for number in range(_FILES):
        file = both / f"log-{number}.log"
        with file.open("wb") as opened:
            hour = 0
            while opened.tell() < scale * _PLAIN_MB * 1e6 / _FILES:
                opened.write(piece.replace(b"T@@:", b"T%02d:" % (2 + hour % 11)))
                hour += 1
        os.link(file, plain / file.name)
        with (both / f"old-{number}.log.1.gz").open("wb") as opened:
            while opened.tell() < scale * _PACKED_MB * 1e6 / _FILES:
                opened.write(packed)
    for file in [*both.iterdir(), *plain.iterdir()]:
        os.utime(file, (_NOW.timestamp(), _NOW.timestamp()))


def _piece(size: int) -> bytes:
    """Return an hour of log; one line in forty is one of the guide's patterns."""
    rng = random.Random(3)
    lines, length = [], 0
    moment = timedelta()
    while length < size:
        moment = (moment + timedelta(milliseconds=rng.choice((1, 2, 5, 20)))) % timedelta(hours=1)
        kind = rng.random()
        agent = f"{rng.getrandbits(32):08x}"
        level, text = "INFO", f"GET /generation/current 200 in {rng.randrange(500)} ms for agent {agent}"
        if kind < 0.005:  # noqa: PLR2004  shares of the lines
            level, text = "ERROR", f"Evolution failed for agent {agent}: no memory"
        elif kind < 0.015:  # noqa: PLR2004
            level, text = "WARNING", f"Memory exceeded by agent {agent}: {rng.randrange(9)} KB"
        elif kind < 0.025:  # noqa: PLR2004
            level, text = "WARNING", f"Authentication failed for GET /agents from 10.0.0.{rng.randrange(255)}"
        minutes, milliseconds = divmod(int(moment.total_seconds() * 1000), 60_000)
        seconds, milliseconds = divmod(milliseconds, 1000)
        stamp = f"2026-11-23T@@:{minutes:02}:{seconds:02}.{milliseconds:03}Z"
        lines.append(f"{stamp} {level} {rng.choice(_COMPONENTS)} {text}\n")
        length += len(lines[-1])
    return "".join(lines).encode()


def _ours(folder: str) -> None:
    from tdev_operators.core.logs.counting import Window  # noqa: PLC0415  in the process that is measured
    from tdev_operators.core.logs.patterns import Patterns  # noqa: PLC0415
    from tdev_operators.core.logs.reading import Job, read_host  # noqa: PLC0415
    from tdev_operators.core.logs.shapes import Shapes  # noqa: PLC0415
    from tdev_operators.core.logs.tally import together  # noqa: PLC0415
    from tdev_operators.hooks.hosts.local import LocalHost  # noqa: PLC0415

    rules = load_settings(include_dir() / "tdev.toml").logs
    now = int(_NOW.timestamp()) // 60
    shapes = Shapes(seconds=rules.analysis.shapes_seconds, at_most=rules.analysis.shapes_kept, hour=now // 60)
    planted = tuple(each.example.encode() for each in rules.patterns)
    job = Job(
        Patterns.of(dict(_patterns())), Window(now - 24 * 60, now, 5, now), planted, time.monotonic() + 600, shapes
    )
    source = read_host(LocalHost("here"), folder, (), job)
    assert not source.skipped, source.skipped
    assert not any(job.blind_to(seen) for seen in source.read.values())
    tally = together(seen.tally for seen in source.read.values())
    counts = {name: tally.total(name).lines for name in job.patterns.names}
    (Path(folder) / ".counts").write_text(json.dumps(counts), encoding="utf-8")


def _guide(folder: Path, passes: list[list[str]]) -> tuple[float, Cpu, dict[str, int]]:
    """Count line by line. The guide's `count_pattern` reads the logs once for each pattern."""
    regexes = _patterns()
    counts = dict.fromkeys(regexes, 0)
    began, cpu = time.perf_counter(), time.process_time()
    files = sorted(folder.glob("*.log*"))
    for names, file in [(names, file) for names in passes for file in files]:
        patterns = {name: re.compile(regexes[name]) for name in names}
        with gzip.open(file, "rt") if file.name.endswith(".gz") else file.open(encoding="utf-8") as lines:
            for line in lines:
                for name, pattern in patterns.items():
                    if pattern.search(line):
                        counts[name] += 1
    return time.perf_counter() - began, Cpu(time.process_time() - cpu, None, None), counts


def _ripgrep(program: str, folder: Path) -> tuple[float, Cpu, dict[str, int]]:
    """Count as one would by hand: ripgrep, once a pattern."""
    files = sorted(map(str, folder.glob("*.log*")))
    counts = {}
    began, before = time.perf_counter(), _children_cpu()
    for name, regex in _patterns().items():
        argv = [program, "--no-config", "-c", "-z", "--no-filename", "-e", regex, *files]
        printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        counts[name] = sum(map(int, printed.split()))
    return time.perf_counter() - began, Cpu(_children_cpu() - before, None, None), counts


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

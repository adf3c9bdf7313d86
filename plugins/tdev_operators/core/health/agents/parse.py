"""Whether the agents' sources are Python. They are parsed and never run."""

import ast
import platform
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings, some
from tdev_operators.core.health.registry import REACHABILITY
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import ObjectInfo, SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("objects",)
HINT = (
    "Fetch one and try it: `python -m py_compile <file>` with the Python of T-Developer: if that accepts it, this "
    "worker is too old and needs that Python; else restore it from a back-up."
)

_READERS = 8
_CHUNK = 256  # sources in memory at once: 8 MiB at the largest bound
_NAMES_KEPT = 3
_FILE_NAME = "<agent source>"
_PYTHON = f"Python {platform.python_version()}"


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a source does not parse. Sources above the bound are not parsed and keep this from being OK.

    It stops at half of `check_timeout_seconds` and says that not all were read.
    """
    bucket, bound_kb = settings.buckets.agents, settings.health.agents.parse_max_kb
    seconds = settings.health.check_timeout_seconds / 2
    seen = _parse_all(system, bucket, bound_kb * 1024, time.monotonic() + seconds)
    if seen.unread and not seen.late:
        # What was retired between listing and reading is no gap.
        there = {info.key for info in system.objects.list(bucket)}
        seen.unread = {key: error for key, error in seen.unread.items() if key in there}
    findings = Findings(__name__)
    if seen.parsed:
        findings.saw(f"s3://{bucket}")
    findings.measure("sources parsed", seen.parsed)
    findings.measure("sources that do not parse", seen.broken.number)
    because_of = ""
    if seen.broken.number:
        findings.found(
            Verdict.CRITICAL,
            f"{seen.broken.number} of {seen.parsed} sources do not parse with this worker's {_PYTHON}: {seen.broken}.",
        )
    if seen.too_large.number:
        findings.skip(f"{seen.too_large.number} sources", f"above {bound_kb} KB: {seen.too_large}")
        because_of = "agents.limits"
    if seen.unread:
        first = next(iter(seen.unread.values()))
        findings.skip(f"{len(seen.unread)} unread sources", f"could not be read: {first}")
        because_of = REACHABILITY["objects"]
    if seen.late:
        findings.skip(f"the rest of s3://{bucket}", f"after {seconds:g} s {seen.parsed} sources were parsed, not all")
        because_of = ""
    return findings.conclude(f"All {seen.parsed} sources parse.", tool=_PYTHON, because_of=because_of)


@dataclass(slots=True)
class _Named:
    """How many there are, and the first of them by name."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.number += 1
        if len(self.first) < _NAMES_KEPT:
            self.first.append(name)

    def __str__(self) -> str:
        return some(self.first, of=self.number)


@dataclass(slots=True)
class _Seen:
    """What became of the sources; `late` when time ran out before the last."""

    parsed: int = 0
    late: bool = False
    broken: _Named = field(default_factory=_Named)
    too_large: _Named = field(default_factory=_Named)
    unread: dict[str, TdevError] = field(default_factory=dict)


def _parse_all(system: SystemPorts, bucket: str, bound: int, deadline: float) -> _Seen:
    seen = _Seen()
    for chunk in _chunks(system.objects.list(bucket)):
        readers: dict[str, Callable[[], bytes | None]] = {}
        for info in chunk:
            if info.size_bytes > bound:
                seen.too_large.add(info.key)
            else:
                readers[info.key] = _reader(system, bucket, info.key, bound, deadline)
        for key, source in side_by_side(readers, at_most=_READERS).items():
            if source is None or time.monotonic() > deadline:
                seen.late = True
            elif isinstance(source, TdevError):
                seen.unread[key] = source
            else:
                seen.parsed += 1
                if complaint := _complaint(source):
                    seen.broken.add(f"{key} ({complaint})")
        if seen.late:
            break
    return seen


def _chunks(infos: Iterator[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    while chunk := list(islice(infos, _CHUNK)):
        yield chunk


def _reader(system: SystemPorts, bucket: str, key: str, bound: int, deadline: float) -> Callable[[], bytes | None]:
    """Return what reads a source; that gives None when it is too late to begin."""

    def read() -> bytes | None:
        return system.objects.read(bucket, key, max_bytes=bound) if time.monotonic() < deadline else None

    return read


def _complaint(source: bytes) -> str:
    """Return why a source is no Python; empty when it is."""
    # Python warns of odd escapes while it parses; where warnings are errors, that would make a good source broken.
    # Adding the same filter again changes nothing, and unlike catch_warnings it is safe beside other threads.
    warnings.filterwarnings("ignore", module=re.escape(_FILE_NAME))
    try:
        ast.parse(source, _FILE_NAME)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
    except (RecursionError, MemoryError, SystemError):
        return "nested too deeply for the parser"
    except ValueError as error:  # null bytes
        return str(error)
    return ""

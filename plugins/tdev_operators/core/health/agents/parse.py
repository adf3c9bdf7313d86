"""Whether the agents' sources are Python. They are parsed and never run."""

import ast
import platform
import re
import warnings
from collections.abc import Callable, Iterator
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
    "Fetch one and try it: `python -m py_compile <file>` (with the Python of T-Developer); restore it from a back-up."
)

_READERS = 8
_CHUNK = 256  # sources in memory at once: 8 MiB at the largest bound
_FILE_NAME = "<agent source>"


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a source does not parse. Sources above the bound are not parsed and keep this from being OK."""
    bucket, bound = settings.buckets.agents, settings.health.agents.parse_max_kb * 1024
    findings = Findings(__name__)
    broken: list[str] = []
    too_large: list[str] = []
    unread: dict[str, TdevError] = {}
    parsed = 0
    for chunk in _chunks(system.objects.list(bucket)):
        too_large += [info.key for info in chunk if info.size_bytes > bound]
        readers = {info.key: _reader(system, bucket, info.key, bound) for info in chunk if info.size_bytes <= bound}
        for key, source in side_by_side(readers, at_most=_READERS).items():
            if isinstance(source, TdevError):
                unread[key] = source
                continue
            parsed += 1
            if complaint := _complaint(source):
                broken.append(f"{key} ({complaint})")
    if unread:
        # What was retired between listing and reading is no gap.
        there = {info.key for info in system.objects.list(bucket)}
        unread = {key: error for key, error in unread.items() if key in there}
    if parsed:
        findings.saw(f"s3://{bucket}")
    findings.measure("sources parsed", parsed)
    findings.measure("sources that do not parse", len(broken))
    if broken:
        findings.found(Verdict.CRITICAL, f"{len(broken)} of {parsed} sources do not parse: {some(broken)}.")
    because_of = ""
    if too_large:
        findings.skip(f"{len(too_large)} sources", f"above {bound // 1024} KB: {some(too_large)}")
        because_of = "agents.limits"
    if unread:
        first = next(iter(unread.values()))
        findings.skip(f"{len(unread)} sources", f"could not be read: {first}")
        because_of = REACHABILITY["objects"]
    return findings.conclude(
        f"All {parsed} sources parse.", tool=f"Python {platform.python_version()}", because_of=because_of
    )


def _chunks(infos: Iterator[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    while chunk := list(islice(infos, _CHUNK)):
        yield chunk


def _reader(system: SystemPorts, bucket: str, key: str, bound: int) -> Callable[[], bytes]:
    return lambda: system.objects.read(bucket, key, max_bytes=bound)


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

"""The process from which confined ones are forked: it has loaded what they need, and never runs an agent's code.

It answers one line of JSON for each on its standard input: what the fork wrote, as text that nobody has looked at, and
how it ended. A fork lives for one question, so that no agent sees what another one left.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tdev_operators.core.agents.confinement import barriers, kernel, probes, recorder, seccomp

_CHUNK_BYTES = 64 * 1024
_EXIT_NO_BARRIER = 97
_BEGUN = b"\n"  # whatever comes behind it may be an agent's word
_WHAT = {"probe": probes.probe, "record": recorder.record, "race": recorder.race}


_Calls = Callable[[], seccomp.Filter | None]


def main() -> None:
    """Serve until standard input ends."""
    without = frozenset(sys.argv[1].split(",")) if len(sys.argv) > 1 else frozenset[str]()
    apart = "namespaces" not in without and _apart()
    barriers.library_places()  # once, where it may still be listed
    calls = partial(barriers.filter_of, without)
    with contextlib.suppress(OSError):  # who cannot make it now is told so by each child
        calls = partial(_same, calls())
    sys.stdout.write(json.dumps({"namespaces": apart, "landlock": kernel.landlock_version()}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line), calls, without)) + "\n")
        sys.stdout.flush()


def _same(made: seccomp.Filter | None) -> seccomp.Filter | None:
    return made


def _apart() -> bool:
    try:
        kernel.unshare_network()
    except OSError:
        return False
    return True


def _answer(asked: Mapping[str, Any], calls: _Calls, without: frozenset[str]) -> dict[str, Any]:
    limits = barriers.Limits.from_json(asked["limits"])
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _live(asked, limits, writer, parent, calls, without)
    os.close(writer)
    wall = None if "clock" in without else limits.wall_seconds
    output, late = _read(reader, len(_BEGUN) + limits.output_bytes, wall)
    begun = output.startswith(_BEGUN)
    output = output.removeprefix(_BEGUN)
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    return {
        "output": output[: limits.output_bytes].decode("utf-8", "replace"),
        "cut": len(output) > limits.output_bytes,
        "begun": begun,
        "late": late,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1,
        "cpu": used.ru_utime + used.ru_stime,
    }


def _live(
    asked: Mapping[str, Any],
    limits: barriers.Limits,
    writer: int,
    parent: int,
    calls: _Calls,
    without: frozenset[str],
) -> None:
    """Be the confined process; does not return."""
    status = 1
    try:
        try:
            sys.path.extend(asked.get("libraries", ()))
            readable = (*barriers.library_places(), *asked.get("libraries", ()))
            barriers.shut_in(writer, limits, readable, parent, calls(), without)
        except OSError as error:
            os.write(writer, json.dumps({"barrier": str(error)}).encode())
            os._exit(_EXIT_NO_BARRIER)
        _write(writer, _BEGUN)  # before any code that is not ours
        _write(writer, json.dumps(_WHAT[asked["do"]](asked)).encode())
        status = 0
    except MemoryError:
        status = 98
    except BaseException:  # noqa: BLE001  whatever it was, this process ends here
        with contextlib.suppress(BaseException):
            _write(writer, json.dumps({"defect": traceback.format_exc()[-2000:]}).encode())
    finally:
        os._exit(status)


def _write(writer: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(writer, rest) :]


def _read(reader: int, most: int, wall_seconds: float | None) -> tuple[bytes, bool]:
    """Read to the end, or one chunk more than is allowed; say whether time ran out."""
    output = bytearray()
    deadline = None if wall_seconds is None else time.monotonic() + wall_seconds
    while len(output) <= most:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and (left <= 0 or not select.select([reader], [], [], left)[0]):
            return bytes(output), True
        chunk = os.read(reader, _CHUNK_BYTES)
        if not chunk:
            break
        output += chunk
    return bytes(output), False

"""Two hundred TLS ends looked at, of which one in ten never answers, against the time limit of one."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, cast

from benchmarks.table import Row
from sandbox.processes import LOOPBACK, Supervisor
from sandbox.tls import TlsEnds
from tdev_operators.core.certificates.ends import End, look
from tdev_operators.core.ports import SystemPorts
from tdev_operators.hooks.tls import TlsProbe

_ENDS = 200
_SECONDS = 5.0
_RUNS = 3


def rows(*, scale: float | None = None, runs: int | None = None) -> Iterator[Row]:
    """Yield the table's row; `scale` (default: `TDEV_BENCH_SCALE`, or 1) is a share of the ends."""
    scale = float(os.environ.get("TDEV_BENCH_SCALE", "1")) if scale is None else scale
    runs = int(os.environ.get("TDEV_BENCH_RUNS", _RUNS)) if runs is None else runs
    count = max(10, int(_ENDS * scale))
    supervisor = Supervisor()
    try:
        silent = count // 10
        served = TlsEnds(supervisor, [f"name-{number}.example.com" for number in range(count - silent)])
        served.start()
        with _silent() as port:
            ends = [End(name, served.port) for name in served.names]
            for number in range(silent):  # between the others
                ends.insert(number * 10, End(f"silent-{number}.example.com", port))
            taken = [_looked_at(served, ends, silent) for _ in range(runs)]
    finally:
        supervisor.close()
    yield Row(
        f"{count} ends looked at, one in ten silent", median(taken), "the limit of one", _SECONDS, runs, at_most=1.2
    )


def _looked_at(served: TlsEnds, ends: list[End], silent: int) -> float:
    began = time.perf_counter()
    probe = TlsProbe(ca_file=str(served.ca_file), timeout_seconds=_SECONDS)
    system = cast("SystemPorts", _System(probe))
    looked = look(system, ends)
    taken = time.perf_counter() - began
    dumb = [end for end, found in looked.items() if not found.served]
    refused = [one.refusal for found in looked.values() for one in found.served.values() if one.refusal]
    assert (len(dumb), refused) == (silent, []), (dumb, refused)
    return taken


class _System:
    """Every name is this machine."""

    def __init__(self, tls: TlsProbe) -> None:
        self.tls, self.resolver = tls, self

    def resolve(self, _: str) -> tuple[str, ...]:
        """Return this machine."""
        return (LOOPBACK,)


@contextmanager
def _silent() -> Iterator[int]:
    """Yield a port that takes connections and says nothing."""
    kept: list[Any] = []
    with socket.create_server((LOOPBACK, 0), backlog=256) as server:

        def take() -> None:
            while True:
                try:
                    kept.append(server.accept())
                except OSError:
                    return

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        taker.join()
    for line, _ in kept:
        line.close()

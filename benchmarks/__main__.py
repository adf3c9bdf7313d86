"""`make bench`: every benchmark, one table. `python -m benchmarks retention` (or another name): that one alone."""

import sys
from collections.abc import Callable, Iterable

from benchmarks import backup, health_check, parsing
from benchmarks.table import Row, print_table


def _backup() -> Iterable[Row]:
    from benchmarks.backup_ours import OURS  # noqa: PLC0415  it imports what the other benchmarks time

    return backup.rows(OURS)


def _recovery() -> Iterable[Row]:
    from benchmarks import recovery  # noqa: PLC0415  the same

    return recovery.rows()


def _care() -> Iterable[Row]:
    from benchmarks import care  # noqa: PLC0415  the same

    return care.rows()


def _retention() -> Iterable[Row]:
    from benchmarks import retention  # noqa: PLC0415  the same

    return retention.rows()


def _security() -> Iterable[Row]:
    from benchmarks import security  # noqa: PLC0415  the same

    return security.rows()


def _certificates() -> Iterable[Row]:
    from benchmarks import certificates  # noqa: PLC0415  the same

    return certificates.rows()


def _logs() -> Iterable[Row]:
    from benchmarks import logs  # noqa: PLC0415  the same

    return logs.rows()


def _agents() -> Iterable[Row]:
    from benchmarks import agents  # noqa: PLC0415  the same

    return agents.rows()


_ALL: dict[str, Callable[[], Iterable[Row]]] = {
    "parsing": parsing.rows,
    "health_check": health_check.rows,
    "backup": _backup,
    "recovery": _recovery,
    "care": _care,
    "retention": _retention,
    "security": _security,
    "certificates": _certificates,
    "logs": _logs,
    "agents": _agents,
}

if __name__ == "__main__":
    print_table(row for name, rows in _ALL.items() if name in sys.argv[1:] or not sys.argv[1:] for row in rows())

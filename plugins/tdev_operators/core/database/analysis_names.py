"""What the daily analysis and the look ahead report, by name: for `[[silences]]` and `[[out_of_scope]]`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tdev_operators.core.verdicts import OutOfScope

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

ABOUT = {
    "performance.samples": "whether today's figures were kept, for the comparisons of later days",
    "performance.top_statements": "which statements the server's time goes to",
    "performance.regressions": "statements that take longer than they usually do",
    "performance.new_statements": "statements that were not there before and already cost much",
    "performance.temp_files": "how much is written to temporary files, and by whom",
    "performance.lock_waits": "deadlocks since the last sample, and who waits for a lock now",
    "performance.checkpoints": "how many checkpoints come before their time",
    "performance.replication_lag": "how far the standbys are behind",
    "performance.growth": "tables and indexes that grow faster than they should",
    "capacity.database": "when the database reaches its limit",
    "capacity.tables": "how the largest tables grow",
    "capacity.buckets": "how the buckets grow, in bytes and objects",
    "capacity.wal": "how the daily volume of WAL grows",
    "capacity.connections": "when the connections run out",
    "capacity.disk": "when the disks of the database's host are full",
}
AREAS = ("performance.*", "capacity.*")


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `performance.*`, means something that is reported here."""
    return pattern in ABOUT or pattern in AREAS


def parted(names: Iterable[str], settings: "Settings") -> tuple[frozenset[str], tuple[OutOfScope, ...]]:
    """Part names into those that count and those that `[[out_of_scope]]` switches off, with the reason."""
    wanted, off = [], []
    for name in names:
        area = f"{name.partition('.')[0]}.*"
        entry = next((entry for entry in settings.out_of_scope if entry.check in (name, area)), None)
        if entry is None:
            wanted.append(name)
        else:
            off.append(OutOfScope(name, entry.reason, entry.owner))
    return frozenset(wanted), tuple(off)

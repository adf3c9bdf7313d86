"""What a host's memory bears: a server that asks for more shared memory than there is does not start."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tdev_operators.core.database.tuning.reading import Running
from tdev_operators.core.database.tuning.units import Kind, bytes_of
from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.ports import Host

MIB = 1024 * 1024
_KIB = 1024
_FIGURE = re.compile(r"^(\w+): +(\d+)", re.MULTILINE)
# What a connection, a background worker or a prepared transaction takes of shared memory before it has done anything,
# without its locks; and what room for one lock takes. Rounded up from PostgreSQL 16 and 18.
_SLOT_BYTES = 24 * _KIB
_LOCK_BYTES = 320
_SLOTS = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions")


@dataclass(frozen=True, slots=True)
class Memory:
    """A host's memory, in bytes."""

    total: int
    available: int
    free_huge_pages: int  # bytes of them


def memory_of(host: Host) -> Memory:
    """Ask a host.

    Raises:
        GarbledAnswerError: it says nothing of its memory; and what `Host.run` raises.
    """
    ended = host.run(["cat", "/proc/meminfo"], timeout_seconds=10)
    figures = {name: int(value) for name, value in _FIGURE.findall(ended.stdout)}
    if not figures.get("MemTotal") or "MemAvailable" not in figures:
        raise GarbledAnswerError(f"/proc/meminfo on {host.name} lacks MemTotal or MemAvailable.")
    huge = figures.get("HugePages_Free", 0) * figures.get("Hugepagesize", 0) * _KIB
    return Memory(figures["MemTotal"] * _KIB, figures["MemAvailable"] * _KIB, huge)


def shared_bytes(settings: Mapping[str, str], kinds: Mapping[str, Kind]) -> int:
    """Return about how much shared memory a server takes with these settings (base units, by name)."""

    def figure(name: str) -> int:
        return max(int(float(settings.get(name) or 0)), 0)

    slots = sum(figure(name) for name in _SLOTS)
    memory = sum(bytes_of(kinds[name], settings[name]) for name in ("shared_buffers",) if name in kinds)
    wal = kinds.get("wal_buffers")
    if wal and not settings["wal_buffers"].startswith("-"):
        memory += bytes_of(wal, settings["wal_buffers"])
    return memory + slots * (_SLOT_BYTES + figure("max_locks_per_transaction") * _LOCK_BYTES)


def objections(
    changes: Mapping[str, str], running: Mapping[str, Running], memory: Memory, *, share_percent: float
) -> list[str]:
    """Say why a server would not start with these changes (base units, by lower-case name); nothing when it would.

    The whole of its shared memory must stay below the share, and what is new must be available now.
    """
    kinds = {name: setting.kind for name, setting in running.items()}
    before = {name: setting.setting for name, setting in running.items()}
    after = {**before, **changes}
    estimated = shared_bytes(before, kinds)
    measured = kinds.get("shared_memory_size")  # what it really takes now; the rule is only right about differences
    old = bytes_of(measured, before["shared_memory_size"]) if measured else estimated
    new = old + shared_bytes(after, kinds) - estimated
    allowed = int(memory.total * share_percent / 100)
    if new <= old:
        return []
    said = []
    what = f"with {_named(changes)} the server takes about {_mib(new)} of shared memory"
    if new > allowed:
        said.append(f"{what}, more than {share_percent:g} % of the host's {_mib(memory.total)}; recommend less.")
    elif after.get("huge_pages") == "on" and new - old > memory.free_huge_pages:
        said.append(f"{what}, in huge pages, and only {_mib(memory.free_huge_pages)} of them are free; reserve more.")
    elif new - old > memory.available:
        said.append(f"{what}, {_mib(new - old)} more than now, and {_mib(memory.available)} are available; free some.")
    return said


def refuse(said: Sequence[str]) -> None:
    """Refuse with the first objection.

    Raises:
        InputError: there is one.
    """
    if said:
        raise InputError(f"{said[0][:1].upper()}{said[0][1:]}")


def _mib(size: int) -> str:
    return f"{size / MIB / 1024:.1f} GiB" if size >= 10 * 1024 * MIB else f"{size / MIB:.0f} MiB"


def _named(changes: Mapping[str, str]) -> str:
    return ", ".join(sorted(changes)) or "this"

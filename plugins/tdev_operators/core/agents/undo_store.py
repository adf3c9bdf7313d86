"""Former sources of agents, kept in the backups bucket: what undo puts back, and what a dead run left half-done.

Below `<system>/agents-undo/`: `<run>/<digests>.json` is a change, with the former source in it, and stays; it is named
by agent and former source, so that a run that changes an agent twice keeps both. `pending/<digests>.json` is the same
while the change is under way; `pending/evolution.json` says that we paused it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.settings import Settings

_RECORD_BYTES = 1024 * 1024
_PENDING, _PAUSE = "pending/", "evolution.json"
_NAME = re.compile(r"(-[0-9a-f]{16})?\.json$")


@dataclass(frozen=True, slots=True)
class Change:
    """One agent's source that becomes another. Hashes are SHA-256, in hexadecimal, as the registry has them.

    `seen` is when the registry's row was last changed before.
    """

    run: str
    agent_id: str
    label: str
    key: str
    former: bytes
    old_hash: str
    new_hash: str
    new_bytes: int
    seen: str
    passes: tuple[str, ...]
    metrics: Mapping[str, Any]

    def to_json(self) -> bytes:
        """Return it as bytes of JSON."""
        plain = {**asdict(self), "former": base64.b64encode(self.former).decode(), "metrics": dict(self.metrics)}
        return json.dumps(plain, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str) -> "Change":
        """Rebuild it; `key` is where it stood.

        Raises:
            GarbledAnswerError: it is none.
        """
        try:
            plain = json.loads(data)
            former = base64.b64decode(plain["former"], validate=True)
            made = cls(**{**plain, "former": former, "passes": tuple(plain["passes"])})
        except (ValueError, KeyError, TypeError):
            raise GarbledAnswerError(f"{key} holds no change of an agent; see who wrote it.") from None
        if sha256(made.former) != made.old_hash:
            raise GarbledAnswerError(f"{key} holds another source than it says; see who wrote it.")
        return made


def sha256(source: bytes) -> str:
    """Return the digest of a source as the registry's `code_hash` has it."""
    return hashlib.sha256(source).hexdigest()


class UndoStore:
    """The folder in the backups bucket."""

    def __init__(self, store: BackupStore, settings: Settings) -> None:
        self._store, self._bucket = store, settings.buckets.backups
        self.prefix = f"{settings.system.name}/agents-undo/"

    def begin(self, change: Change) -> None:
        """Keep a change before it is made."""
        name = _name_of(change)
        # The mark first: whoever finds it removes the other, too, where nothing came of it.
        self._store.put(self._bucket, f"{self.prefix}{_PENDING}{name}", change.to_json())
        self._store.put(self._bucket, f"{self.prefix}{change.run}/{name}", change.to_json())

    def end(self, change: Change, *, made: bool) -> None:
        """Note that it is over; of one that was not made nothing is kept."""
        name = _name_of(change)
        if not made:
            self._store.delete(self._bucket, [f"{self.prefix}{change.run}/{name}"])
        self._store.delete(self._bucket, [f"{self.prefix}{_PENDING}{name}"])

    def pending(self) -> list[str]:
        """Return where the changes are kept that were begun and not ended; the oldest first. `at` reads one."""
        return [key for key in self._keys(_PENDING) if not key.endswith(f"/{_PAUSE}")]

    def at(self, key: str) -> Change:
        """Return the change that is kept there.

        Raises:
            GarbledAnswerError: it is none.
        """
        return Change.from_json(self._store.read_whole(self._bucket, key, max_bytes=_RECORD_BYTES), key)

    def of(self, wanted: str) -> list[Change]:
        """Return the changes of a run, or of an agent by its name, name and version, or key; newest first.

        What a run did to an agent in several tries is one change here: from what stood before it to what it left.
        """
        runs: dict[str, datetime] = {}
        for info in self._store.list(self._bucket, self.prefix):
            run = info.key.removeprefix(self.prefix).partition("/")[0]
            if run != _PENDING.rstrip("/"):
                runs[run] = max(info.modified, runs.get(run, info.modified))
        newest = sorted(runs, key=lambda run: runs[run], reverse=True)
        if wanted in runs:
            return list(_joined(self._changes(f"{wanted}/")))
        every = (change for run in newest for change in _joined(self._changes(f"{run}/")))
        return [one for one in every if wanted in (one.label, one.label.rpartition(" ")[0], one.key)]

    def count(self, run: str) -> int:
        """Return how many agents a run has changed so far."""
        return len({_NAME.sub("", key) for key in self._keys(f"{run}/")})

    def forget(self, now: datetime, days: int) -> int:
        """Remove what is older, and return how much that was."""
        old = [
            info.key
            for info in self._store.list(self._bucket, self.prefix)
            if info.modified < now - timedelta(days=days) and not info.key.startswith(f"{self.prefix}{_PENDING}")
        ]
        if old:
            self._store.delete(self._bucket, old)
        return len(old)

    def mark_pause(self) -> None:
        """Note that we pause the evolution."""
        self._store.put(self._bucket, f"{self.prefix}{_PENDING}{_PAUSE}", b"{}")

    def unmark_pause(self) -> None:
        """Note that it runs again."""
        self._store.delete(self._bucket, [f"{self.prefix}{_PENDING}{_PAUSE}"])

    @property
    def is_paused_by_us(self) -> bool:
        """Whether a run of ours paused the evolution and did not resume it."""
        return self._store.find(self._bucket, f"{self.prefix}{_PENDING}{_PAUSE}") is not None

    def _changes(self, below: str) -> Iterator[Change]:
        yield from map(self.at, self._keys(below))

    def _keys(self, below: str) -> list[str]:
        found = sorted(self._store.list(self._bucket, self.prefix + below), key=lambda info: info.modified)
        return [info.key for info in found]


def _name_of(change: Change) -> str:
    return f"{sha256(change.key.encode())[:32]}-{change.old_hash[:16]}.json"


def _joined(changes: Iterable[Change]) -> Iterator[Change]:
    """Yield one change for each agent, from the former of the first to the new one of the last."""
    chains: dict[str, list[Change]] = {}
    for change in changes:
        chains.setdefault(change.key, []).append(change)
    for chain in chains.values():
        first = last = chain[-1]
        made_of = {one.new_hash: one for one in chain[:-1]}
        while earlier := made_of.pop(first.old_hash, None):
            first = earlier
        yield replace(last, former=first.former, old_hash=first.old_hash)

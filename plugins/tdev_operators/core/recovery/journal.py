"""The journal of a recovery: what was intended and what was done, as numbered objects beside the back-up sets.

It stands in the backups bucket, so that it can be read on the day when ledger and database are gone. A step is noted
before it is taken; a retry reads what its dead predecessor came to, and looks at the world before it believes it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.ports import Clock, utc_now

Event = Literal["intended", "done", "undone", "refused", "failed"]

_ID = re.compile(r"[a-z][a-z0-9-]{0,99}", re.ASCII)
_MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal."""

    number: int
    at: datetime
    step: str
    event: Event
    facts: Mapping[str, Any]


class Journal:
    """One recovery's journal below `<system>/recovery/<id>/`. Two that write it at once do not both succeed."""

    def __init__(
        self, store: BackupStore, bucket: str, system: str, recovery_id: str, *, clock: Clock = utc_now
    ) -> None:
        if not _ID.fullmatch(recovery_id):
            raise InputError(
                f"{recovery_id[:80]!r} is no name of a recovery; use lower-case letters, digits and hyphens."
            )
        self.recovery_id = recovery_id
        self._store, self._bucket, self._clock = store, bucket, clock
        self._folder = f"{root_of(system)}recovery/{recovery_id}/"
        self._entries = list(self._read())

    @property
    def bucket(self) -> str:
        """Where it stands."""
        return self._bucket

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"s3://{self._bucket}/{self._folder}"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything noted so far, in order."""
        return tuple(self._entries)

    def note(self, step: str, event: Event, **facts: Any) -> None:
        """Add a line.

        Raises:
            BusyError: somebody else wrote the same recovery's journal meanwhile; only one of you may go on.
        """
        entry = Entry(len(self._entries) + 1, self._clock(), step, event, facts)
        body = {"number": entry.number, "at": entry.at.isoformat(), "step": step, "event": event, "facts": facts}
        key = f"{self._folder}{entry.number:05d}.json"
        self._store.put(self._bucket, key, json.dumps(body, indent=1).encode(), only_if_absent=True)
        self._entries.append(entry)

    def last(self, step: str) -> Entry | None:
        """Return how far a step has come; None when it was never begun."""
        return next((entry for entry in reversed(self._entries) if entry.step == step), None)

    def done(self, step: str) -> Mapping[str, Any] | None:
        """Return the facts of a step that was carried out and not undone since; None otherwise."""
        entry = self.last(step)
        return entry.facts if entry and entry.event == "done" else None

    def _read(self) -> Iterator[Entry]:
        for info in self._store.list(self._bucket, self._folder):
            body = self._store.read_whole(self._bucket, info.key, max_bytes=_MAX_BYTES)
            try:
                line = json.loads(body)
                yield Entry(
                    line["number"], datetime.fromisoformat(line["at"]), line["step"], line["event"], line["facts"]
                )
            except (ValueError, KeyError, TypeError):
                raise GarbledAnswerError(
                    f"{info.key} is no line of a recovery's journal; look at it by hand."
                ) from None

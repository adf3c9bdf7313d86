"""Writes what was proven: kept, journalled, then bucket, then registry; a worker that dies between is made good."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tdev_operators.core.agents.ladder import KB
from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.agents.undo_store import Change, UndoStore, sha256
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.transactions import transaction
from tdev_operators.core.errors import BusyError, InputError, ProofFailedError
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

APPLICATION = "tdev-agents"

_SOURCE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes agents in the name of one run. `note` is the ledger's journal, `check` refuses once the lease is lost."""

    ports: AgentPorts
    settings: Settings
    undo: UndoStore
    note: Callable[[str, Mapping[str, Any]], None]
    check: Callable[[], None]

    def write(self, change: Change, source: bytes, etag: str) -> str:
        """Put a source into the place of the one with this ETag; return why that was not done, empty when it was.

        Raises:
            TdevError: store or database are away. The next run makes good what is half-done.
        """
        if sha256(source) != change.new_hash:
            raise ProofFailedError(f"{change.label}: what is to be written is not what was proven.")
        self.check()
        self.note("agent_write", _told(change))
        self.undo.begin(change)
        try:
            written = self.ports.sources.replace(self._bucket, change.key, source, etag=etag)
        except BusyError:
            self.undo.end(change, made=False)
            return "it was changed while it was tried"
        if not self._registered(change):
            # Somebody changed the registry's row meanwhile: what is there must belong to it.
            self._put_back(change, written.etag)
            self.undo.end(change, made=False)
            return "its row in the registry was changed while it was tried"
        self.undo.end(change, made=True)
        return ""

    def make_good(self) -> list[str]:
        """Bring to an end what a run that died has left, by what stands in the bucket; return what was done.

        Raises:
            TdevError: store or database are away.
        """
        done = []
        for change in self.undo.pending():
            self.check()
            there = self._there(change.key)
            if there is None or sha256(there[0]) not in (change.old_hash, change.new_hash):
                self.undo.end(change, made=False)
                done.append(f"{change.label}: somebody else wrote it since, so it stays")
            elif sha256(there[0]) == change.old_hash:
                self.undo.end(change, made=False)
                done.append(f"{change.label}: nothing had been written")
            elif self._knows(change) or self._registered(change):
                self.undo.end(change, made=True)
                done.append(f"{change.label}: it was written, and is registered now")
            else:
                self._put_back(change, there[1])
                self.undo.end(change, made=False)
                done.append(f"{change.label}: its row had changed, so the former source was put back")
        for line in done:
            self.note("agent_made_good", {"what": line})
        return done

    def take_back(self, change: Change, run: str) -> str:
        """Put a former source back where ours still stands; return why that was not done, empty when it was.

        Raises:
            TdevError: store or database are away; done again, it goes on.
        """
        self.check()
        there = self._there(change.key)
        if there is None:
            return "its source is gone"
        now = sha256(there[0])
        if now not in (change.new_hash, change.old_hash):
            return "somebody else wrote it since"
        state = self._state(change.agent_id)
        if state is None:
            return "it is no longer registered"
        if now == change.old_hash and state["code_hash"] == change.old_hash:
            return "it stands there as it was already"
        self.note("agent_undo", _told(change))
        if now == change.new_hash:
            try:
                self.ports.sources.replace(self._bucket, change.key, change.former, etag=there[1])
            except BusyError:
                return "somebody else writes it at this moment"
        back = {
            "id": change.agent_id,
            "size_kb": round(len(change.former) / KB, 3),
            "seen": state["updated_at"],
            "code_hash": change.old_hash,
            "changes": [f"{change.run} taken back"],
            "metrics": json.dumps({"taken_back_by": run}),
        }
        return "" if self._changed(back) else "its row in the registry was changed at this moment; do it again"

    @property
    def _bucket(self) -> str:
        return self.settings.buckets.agents

    def _registered(self, change: Change) -> bool:
        """Register a change: size and version together, or neither. False: the row is not as it was."""
        return self._changed(
            {
                "id": change.agent_id,
                "size_kb": round(change.new_bytes / KB, 3),
                "seen": change.seen,
                "code_hash": change.new_hash,
                "changes": list(change.passes),
                "metrics": json.dumps({**change.metrics, "optimised_by": change.run}),
            }
        )

    def _changed(self, binds: Mapping[str, Any]) -> bool:
        with self.ports.database.session(application_name=APPLICATION) as session, transaction(session):
            if session.touched(load_sql("agents/set_size"), binds) != 1:
                return False
            if session.touched(load_sql("agents/add_version"), binds) != 1:
                raise ProofFailedError("A version of an agent was not registered; see the triggers of agent_versions.")
        return True

    def _knows(self, change: Change) -> bool:
        state = self._state(change.agent_id)
        return state is not None and state["code_hash"] == change.new_hash

    def _state(self, agent_id: str) -> dict[str, Any] | None:
        with self.ports.database.session(application_name=APPLICATION) as session:
            return _first(session, agent_id)

    def _put_back(self, change: Change, etag: str) -> None:
        self.note("agent_put_back", _told(change))
        self.ports.sources.replace(self._bucket, change.key, change.former, etag=etag)

    def _there(self, key: str) -> tuple[bytes, str] | None:
        info = self.ports.store.find(self._bucket, key)
        if info is None:
            return None
        try:
            return self.ports.store.read_whole(self._bucket, key, max_bytes=_SOURCE_BYTES), info.etag
        except InputError:
            return None


def _first(session: Session, agent_id: str) -> dict[str, Any] | None:
    rows = session.rows(load_sql("agents/state"), {"id": agent_id})
    return rows[0] if rows else None


def _told(change: Change) -> dict[str, Any]:
    """Return what the journal says of a change: no source."""
    return {
        "agent": change.label,
        "run": change.run,
        "from": change.old_hash,
        "to": change.new_hash,
        "passes": list(change.passes),
    }

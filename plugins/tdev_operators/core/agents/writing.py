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
from tdev_operators.core.errors import BusyError, InputError, PermanentError, ProofFailedError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.reporting.escaping import storable
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

APPLICATION = "tdev-agents"
IGNORED = "the store ignores If-Match, and pause_evolution = false: somebody else could be written over"

_SOURCE_BYTES = 1024 * 1024
_ROW_CHANGED = "its row in the registry was changed while it was tried"


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes agents in the name of one run. `note` is the ledger's journal, `check` refuses once the lease is lost.

    `unconditional` is for stores that ignore conditions, while the evolution is paused; where it may not be paused,
    `may_put_back` is false, and nothing in the bucket is written.
    """

    ports: AgentPorts
    settings: Settings
    undo: UndoStore
    note: Callable[[str, Mapping[str, Any]], None]
    check: Callable[[], None]
    unconditional: bool = False
    may_put_back: bool = True

    def write(self, change: Change, source: bytes, etag: str) -> str:
        """Put a source into the place of the one with this ETag; return why that was not done, empty when it was.

        Raises:
            TdevError: store or database are away. The next run makes good what is half-done.
        """
        if sha256(source) != change.new_hash:
            raise ProofFailedError(f"{change.label}: what is to be written is not what was proven.")
        self.check()
        state = self._state(change.agent_id)
        if state is None or state["code_hash"] != change.old_hash:
            return _ROW_CHANGED
        self.note("agent_write", _told(change))
        self.undo.begin(change)
        try:
            written = self._replace(change.key, source, etag)
        except BusyError:
            self.undo.end(change, made=False)
            return "it was changed while it was tried"
        except ProofFailedError:
            self.undo.end(change, made=False)
            raise
        if not self._registered(change):
            # Somebody changed the registry's row meanwhile: what is there must belong to it.
            self._put_back(change, written.etag)
            self.undo.end(change, made=False)
            return _ROW_CHANGED
        self.undo.end(change, made=True)
        return ""

    def make_good(self) -> tuple[list[str], dict[str, str]]:
        """Bring to an end what a run that died has left, by what stands in the bucket; return what was done.

        The second is why some could not be, by their labels: they stay half-done, and the others go on.

        Raises:
            TransientError: store or database are away.
        """
        done, stuck = [], {}
        for key in self.undo.pending():
            self.check()
            label = key
            try:
                change = self.undo.at(key)
                label = change.label
                done.append(f"{label}: {self._made_good(change)}")
            except PermanentError as error:
                stuck[label] = str(error).rstrip(".")
        for line in done:
            self.note("agent_made_good", {"what": line})
        return done, stuck

    def _made_good(self, change: Change) -> str:
        there = self._there(change.key)
        if there is None or sha256(there[0]) not in (change.old_hash, change.new_hash):
            self.undo.end(change, made=False)
            return "somebody else wrote it since, so it stays"
        if sha256(there[0]) == change.old_hash:
            self.undo.end(change, made=False)
            return "nothing had been written"
        if self._knows(change) or self._registered(change):
            self.undo.end(change, made=True)
            return "it was written, and is registered now"
        if not self.may_put_back:
            raise ProofFailedError(f"its row had changed, and the former source is not put back: {IGNORED}.")
        back = self._put_back(change, there[1])
        self.undo.end(change, made=False)
        return f"its row had changed, so {back}"

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
        if state["code_hash"] not in (change.new_hash, change.old_hash):
            return "the registry knows another code of it by now"
        if now == change.old_hash and state["code_hash"] == change.old_hash:
            return "it stands there as it was already"
        self.note("agent_undo", _told(change))
        if now == change.new_hash:
            try:
                self._replace(change.key, change.former, there[1])
            except BusyError:
                return "somebody else writes it at this moment"
        back = {
            "id": change.agent_id,
            "size_kb": round(len(change.former) / KB, 3),
            "seen": state["updated_at"],
            "old_hash": state["code_hash"],
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
                "old_hash": change.old_hash,
                "code_hash": change.new_hash,
                "changes": list(change.passes),
                "metrics": json.dumps(storable({**change.metrics, "optimised_by": change.run}), allow_nan=False),
            }
        )

    def _changed(self, binds: Mapping[str, Any]) -> bool:
        with self.ports.database.session(application_name=APPLICATION) as session, transaction(session):
            session.rows(load_sql("agents/lock"), {"id": binds["id"]})
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

    def _put_back(self, change: Change, etag: str) -> str:
        self.note("agent_put_back", _told(change))
        try:
            self._replace(change.key, change.former, etag)
        except BusyError:  # whoever wrote it since wrote what belongs to the row
            return "what somebody else wrote since stays"
        return "the former source was put back"

    def _replace(self, key: str, body: bytes, etag: str) -> ObjectInfo:
        return self.ports.sources.replace(self._bucket, key, body, etag=etag, unconditional=self.unconditional)

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

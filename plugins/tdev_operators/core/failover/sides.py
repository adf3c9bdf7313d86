"""How a side's database is right now, by its own word; and positions in the write-ahead log as figures."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.sql import load_sql

_LSN = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})", re.IGNORECASE)
_STATE = re.compile(r"^Database cluster state:\s*(.+)$", re.MULTILINE)
_CHECKPOINT = re.compile(r"^Latest checkpoint location:\s*(\S+)$", re.MULTILINE)
_IDENTIFIER = re.compile(r"^Database system identifier:\s*(\d+)$", re.MULTILINE)
_SHUT_DOWN = "shut down"  # and not "in recovery": it was the primary
_SWITCH = re.compile(r"^\d+\s+([0-9A-F]+/[0-9A-F]+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Database:
    """A server that answered. `lsn` is how far it wrote, or replayed; `received` what it has of its primary."""

    in_recovery: bool
    system_identifier: str
    lsn: int
    received: int
    streaming: bool
    timeline: int
    major: int
    last_replayed_at: datetime | None
    now: datetime

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "in_recovery": self.in_recovery,
            "lsn": text_of(self.lsn),
            "timeline": self.timeline,
            "streaming": self.streaming,
            "last_replayed_at": self.last_replayed_at and self.last_replayed_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Control:
    """What a stopped server's control file says: how it ended, and where its last checkpoint begins."""

    shut_down: bool
    checkpoint: int
    system_identifier: str


def look(ports: FailoverPorts, side: Side) -> Database:
    """Ask a side's server how it is.

    Raises:
        TransientError, AccessDeniedError: it does not answer, or not to us.
    """
    with ports.database(side, "postgres").session(application_name="tdev-failover") as session:
        return looked_at(session)


def looked_at(session: Session) -> Database:
    """Ask the server of a session how it is."""
    row = session.rows(load_sql("failover/state"))[0]
    return Database(
        in_recovery=row["in_recovery"],
        system_identifier=row["system_identifier"],
        lsn=lsn_of(row["lsn"]),
        received=lsn_of(row["received"] or row["lsn"]),
        streaming=row["streaming"],
        timeline=row["timeline"],
        major=row["server_version_num"] // 10_000,
        last_replayed_at=row["last_replayed_at"],
        now=row["now"],
    )


def control_of(text: str) -> Control:
    """Read what `pg_controldata` printed.

    Raises:
        GarbledAnswerError: it is no such text.
    """
    state, checkpoint, identifier = _STATE.search(text), _CHECKPOINT.search(text), _IDENTIFIER.search(text)
    if not (state and checkpoint and identifier):
        raise GarbledAnswerError("pg_controldata printed something else; mend failover.controldata.")
    return Control(state[1].strip() == _SHUT_DOWN, lsn_of(checkpoint[1]), identifier[1])


def switch_point(history: str) -> int:
    """Return where the newest line of a timeline's history says that it left its parent.

    Raises:
        GarbledAnswerError: it is no history.
    """
    lines = _SWITCH.findall(history)
    if not lines:
        raise GarbledAnswerError("The timeline's history names no switch point; look at the server by hand.")
    return lsn_of(lines[-1])


def lsn_of(text: str) -> int:
    """Return a position in the log as a figure: `0/3000060`.

    Raises:
        GarbledAnswerError: it is none.
    """
    found = _LSN.fullmatch(text)
    if not found:
        raise GarbledAnswerError(f"{text[:40]!r} is no position in a write-ahead log.")
    return (int(found[1], 16) << 32) + int(found[2], 16)


def text_of(lsn: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def database_of(facts: Mapping[str, Any]) -> tuple[int, int]:
    """Return position and timeline of what `Database.facts` said."""
    return lsn_of(facts["lsn"]), int(facts["timeline"])

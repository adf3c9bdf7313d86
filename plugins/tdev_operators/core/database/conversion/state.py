"""How far a conversion is: one comment in the catalogue, written in the transaction that makes it true."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.conversion.names import Names
from tdev_operators.core.errors import InputError
from tdev_operators.core.sql import load_sql

Phase = Literal["none", "made", "copying", "switched", "undone"]
_WHAT = "tdev-maintenance: changes noted for a conversion into partitions"


@dataclass(frozen=True, slots=True)
class Renamed:
    """Something whose name the new one takes: a TABLE, an INDEX, a CONSTRAINT, or a SEQUENCE."""

    kind: str
    name: str
    new: str
    old: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written down beside the notes.

    `evidence` is by what triggers are known that were never disabled, `exchanged` the transaction that exchanged the
    tables, `since` the first that can have begun behind it; `reads` is what the server had counted by then.
    """

    phase: Phase = "none"
    run_id: str = ""
    old_oid: int = 0
    new_oid: int = 0
    keys: tuple[str, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    evidence: str = ""
    switched_at: str = ""
    exchanged: str = ""
    since: str = ""
    reads: int = 0

    def text(self) -> str:
        """Return it as a comment; `of_text` is the inverse."""
        return json.dumps({"what": _WHAT, **asdict(self)})

    @classmethod
    def of_text(cls, text: str) -> "Mark | None":
        """Return it; None when the comment is somebody else's."""
        try:
            data: dict[str, Any] = json.loads(text)
            if data.pop("what") != _WHAT:
                return None
            renamed = tuple(Renamed(**one) for one in data.pop("renamed"))
            return cls(**{**data, "keys": tuple(data["keys"]), "renamed": renamed})
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class State:
    """What stands there now. `live` is the table that has the name; sizes are in bytes."""

    mark: Mark = field(default_factory=Mark)
    live_oid: int = 0
    live_kind: str = ""
    bytes: int = 0
    aside_bytes: int = 0

    @property
    def phase(self) -> Phase:
        """How far it is."""
        return self.mark.phase


def read_state(session: Session, names: Names) -> State:
    """Look at the catalogue.

    Raises:
        InputError: there is no such table, or what stands under our names is somebody else's.
    """

    def relation(name: str) -> dict[str, Any] | None:
        rows = session.rows(load_sql("conversion/relation"), {"schema": names.schema, "name": name})
        return rows[0] if rows else None

    live, changes = relation(names.table), relation(names.changes)
    if live is None:
        raise InputError(f"There is no table {names.title}; mend [[retention.rules]].")
    if changes is None:
        return State(live_oid=live["oid"], live_kind=live["kind"], bytes=live["bytes"])
    mark = Mark.of_text(changes["comment"])
    if mark is None:
        raise InputError(f"{names.schema}.{names.changes} is not ours; rename it, for we need its name.")
    is_old = mark.phase in ("made", "copying", "undone")
    aside = relation(names.new if is_old else names.old)
    expected = (mark.old_oid, mark.new_oid) if is_old else (mark.new_oid, mark.old_oid)
    if aside is None or (live["oid"], aside["oid"]) != expected:
        raise InputError(
            f"What is called {names.title} and what stands beside it are other tables than when {mark.run_id} made "
            "them; look by hand, nothing is touched."
        )
    return State(mark, live["oid"], live["kind"], live["bytes"], aside["bytes"])

"""The exchange of two tables under one lock, forward and back: names, sequences, rights, comment, triggers."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.conversion import statements
from tdev_operators.core.database.conversion.following import SMALL, Follower
from tdev_operators.core.database.conversion.making import Making
from tdev_operators.core.database.conversion.names import Names, new_name, old_name
from tdev_operators.core.database.conversion.refusals import obstacles
from tdev_operators.core.database.conversion.state import Mark, Renamed
from tdev_operators.core.database.retention.holders import holders
from tdev_operators.core.database.retention.rights import acting_as, revoking
from tdev_operators.core.database.transactions import transaction
from tdev_operators.core.errors import BusyError, InputError, ProofFailedError
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

_PAUSE_SECONDS = 0.2
_TRIGGERS = 2


@contextmanager
def as_owner(session: Session, owner: str) -> Iterator[None]:
    """Run the block in one transaction, as the role that owns the table: what it makes is that role's."""
    with transaction(session):
        session.rows(load_sql("conversion/limits"))
        session.rows(acting_as(owner), {})
        yield


def patiently(session: Session, settings: Settings, oids: Sequence[int], work: Callable[[], float]) -> float:
    """Do what needs a lock that keeps others waiting: briefly, again, and not while somebody holds the table for long.

    Raises:
        BusyError: it names who holds the table.
    """
    rules = settings.retention
    for attempt in range(1, rules.tries + 1):
        why = holders(session, *oids, seconds=rules.lock_timeout_ms / 1000, people=True)
        if not why:
            try:
                return work()
            except BusyError as error:
                why = f"{holders(session, *oids)} ({error})"
        if attempt == rules.tries:
            break
        time.sleep(_PAUSE_SECONDS * attempt)
    raise BusyError(f"The table is held by {why}; end that, or wait for it. Another try goes on.")


def evidence_of(session: Session, oid: int) -> str:
    """Return by what it is known that a table's changes were noted without a break.

    Raises:
        ProofFailedError: they are not noted.
    """
    [now] = session.rows(load_sql("conversion/noted_by"), {"oid": oid})
    if now["enabled"] < _TRIGGERS or now["parts_without"]:
        raise ProofFailedError(
            "The triggers that note changes are disabled or gone, so that changes were lost; nothing is exchanged. "
            "Start with *Undo*, and then anew."
        )
    return str(now["evidence"])


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange of the table that has the name with the one beside it; `forward`: that is the partitioned one."""

    session: Session
    settings: Settings
    names: Names
    making: Making
    owner: str
    mark: Mark
    follower: Follower
    forward: bool

    def carry_out(self, now: str) -> tuple[float, Mark]:
        """Exchange them; return for how many seconds the table was locked, and how it is now.

        `now` is the moment, as text.

        Raises:
            BusyError: somebody holds the table, or has changed it meanwhile.
            ProofFailedError: changes were not noted.
        """
        mark = replace(self.mark, renamed=self._renamed()) if self.forward else self.mark
        ended: list[Mark] = []

        def work() -> float:
            self.follower.follow()
            with as_owner(self.session, self.owner):
                self.session.rows(statements.locking(self.names.schema, self._aside, self.names.table), {})
                locked_at = time.monotonic()
                if self.follower.step(SMALL + 1) > SMALL:  # a bulk of changes came last: not while everybody waits
                    raise BusyError(f"Many rows of {self.names.title} were changed at once just now.")
                self._refuse_changed(mark)
                ended[:] = [self._exchanged(mark, now)]
            return time.monotonic() - locked_at

        return patiently(self.session, self.settings, (self._live_oid, self._aside_oid), work), ended[0]

    @property
    def _aside(self) -> str:
        return self.names.new if self.forward else self.names.old

    @property
    def _live_oid(self) -> int:
        return self.mark.old_oid if self.forward else self.mark.new_oid

    @property
    def _aside_oid(self) -> int:
        return self.mark.new_oid if self.forward else self.mark.old_oid

    def _renamed(self) -> tuple[Renamed, ...]:
        """Return what takes another name besides the tables. An index without a successor was made meanwhile."""
        new = {row["name"] for row in self._rows("conversion/indexes", self.mark.new_oid)}
        found = []
        for one in self._rows("conversion/indexes", self.mark.old_oid):
            name = one["name"]
            if new_name(name) not in new:
                raise BusyError(
                    f"The index {name} of {self.names.title} was made meanwhile; the next try makes it, too."
                )
            found.append(
                Renamed("CONSTRAINT" if one["constraint_name"] else "INDEX", name, new_name(name), old_name(name))
            )
        theirs = {row["column_name"]: row["name"] for row in self._rows("conversion/sequences", self.mark.new_oid)}
        found += [
            Renamed("SEQUENCE", row["name"], theirs[row["column_name"]], old_name(row["name"]))
            for row in self._rows("conversion/sequences", self.mark.old_oid)
            if row["is_identity"]
        ]
        return tuple(found)

    def _refuse_changed(self, mark: Mark) -> None:
        """Look once more, now that nobody can change anything."""
        if found := obstacles(self.session, self._live_oid, self.names.title):
            raise found[0]
        if evidence_of(self.session, self._live_oid) != mark.evidence:
            raise ProofFailedError(
                f"The triggers that note the changes of {self.names.title} are not the ones of the beginning: they "
                "were disabled or replaced, and changes may be lost. Start with *Undo*, and then anew."
            )
        [off] = self.session.rows(load_sql("conversion/defined"), {"one": mark.old_oid, "other": mark.new_oid})
        if off["differing"]:
            raise InputError(
                f"Columns or conditions of {self.names.title} were changed meanwhile, so that the two tables differ; "
                "start with *Undo*, and then anew."
            )
        if self.forward and self._renamed() != mark.renamed:
            raise BusyError(f"An index of {self.names.title} came or went meanwhile; the next try sees to it.")

    def _exchanged(self, mark: Mark, now: str) -> Mark:
        schema, table = self.names.schema, self.names.table
        away = self.names.old if self.forward else self.names.new
        self._hand_over_rights()
        self._run(*self.making.no_triggers(table))
        self._run(statements.renaming("TABLE", schema, table, away))
        there = {row["name"] for row in self._rows("conversion/indexes", self._live_oid)}
        for one in mark.renamed:
            if one.kind == "SEQUENCE" or one.name in there:  # an index may have been dropped since
                self._rename(one.kind, away, one.name, one.old if self.forward else one.new)
        self._run(statements.renaming("TABLE", schema, self._aside, table))
        for one in mark.renamed:
            self._rename(one.kind, table, one.new if self.forward else one.old, one.name)
        self._hand_over_sequences(mark)
        [own] = self.session.rows(load_sql("retention/own_transaction"))
        self._run(*self.making.guard(table, own["xid"]))
        if not self.forward:
            done = replace(mark, phase="undone", evidence="", switched_at=now, exchanged=own["xid"])
        else:
            self._run(*self.making.triggers(table))
            [counted] = self._rows("conversion/counters", mark.old_oid)
            done = replace(
                mark,
                phase="switched",
                evidence=evidence_of(self.session, mark.new_oid),
                switched_at=now,
                exchanged=own["xid"],
                since=counted["next_xid"],
                reads=counted["reads"],
            )
        self._run(self.making.remark(done.text()))
        return done

    def _rename(self, kind: str, table: str, old: str, new: str) -> None:
        if kind == "CONSTRAINT":
            self._run(statements.renaming_constraint((self.names.schema, table), old, new))
        else:
            self._run(statements.renaming(kind, self.names.schema, old, new))

    def _hand_over_sequences(self, mark: Mark) -> None:
        """Let the numbers go on: an identity has a sequence of its own, any other one belongs to the live table."""
        schema, table = self.names.schema, self.names.table
        for one in mark.renamed:
            if one.kind == "SEQUENCE":
                former = (schema, one.old if self.forward else one.new)
                self._run(statements.counting_on((schema, one.name), former))
        left = self._rows("conversion/sequences", self._live_oid)
        for row in left:
            if not row["is_identity"]:
                self._run(statements.owned_by((row["schema"], row["name"]), (schema, table), row["column_name"]))

    def _hand_over_rights(self) -> None:
        """Give the other table and its sequences the rights and the comment of the live one, and no others."""
        schema = self.names.schema
        pairs = [("TABLE", self._live_oid, (schema, self._aside), self._aside_oid)]
        theirs = {row["column_name"]: row for row in self._rows("conversion/sequences", self._aside_oid)}
        pairs += [
            ("SEQUENCE", row["oid"], (schema, theirs[row["column_name"]]["name"]), theirs[row["column_name"]]["oid"])
            for row in self._rows("conversion/sequences", self._live_oid)
            if row["is_identity"]
        ]
        for kind, live, relation, aside in pairs:
            for grantee in sorted({row["grantee"] for row in self._rows("conversion/grants", aside)}):
                self._run(revoking(kind, relation, grantee))
            for right in self._rows("conversion/grants", live):
                self._run(statements.granting(kind, relation, right))
        [facts] = self._rows("conversion/facts", self._live_oid)
        self._run(statements.commenting((schema, self._aside), facts["comment"]))

    def _rows(self, name: str, oid: int) -> list[dict[str, Any]]:
        return self.session.rows(load_sql(name), {"oid": oid})

    def _run(self, *each: Any) -> None:
        for statement in each:
            self.session.rows(statement, {})


def wait_for_older(session: Session, settings: Settings, xid: str) -> None:
    """Wait until nobody has a snapshot any more that does not see a transaction.

    Raises:
        BusyError: somebody still has; it names him.
    """
    deadline = time.monotonic() + settings.retention.pace.pause_seconds
    while older := session.rows(load_sql("conversion/older_snapshots"), {"xid": xid}):
        if time.monotonic() > deadline:
            raise BusyError(f"{older[0]['holder']} sees the tables as they were before; wait for its end.")
        time.sleep(_PAUSE_SECONDS)

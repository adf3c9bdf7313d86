"""A streaming replica takes over: what the old side wrote last is replayed there, then it is promoted.

The proof is the write-ahead log's own: the new timeline leaves the old one at or behind the last position of a server
that was shut down cleanly.
"""

import time
from collections.abc import Mapping
from typing import Any

from psycopg.sql import SQL, Literal

from tdev_operators.core.errors import InputError, TargetTimeoutError, TdevError, TransientError
from tdev_operators.core.failover.fence import control_data
from tdev_operators.core.failover.sides import Database, look, looked_at, lsn_of, switch_point, text_of
from tdev_operators.core.failover.takeover import Course, Prospect, refuse_the_ledgers, rights_on_new
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.sql import load_sql

_POLL_SECONDS = 0.2
_MEGABYTE = 1_000_000


class Replica:
    """The new side's server follows the old one's."""

    def __init__(self, course: Course) -> None:
        """Nothing is opened."""
        self._course = course
        self._ports, self._old, self._new = course.ports, course.old, course.new

    def look(self) -> Prospect:
        """See how far the standby is behind, and what would not come along."""
        new, old, slots = self._look_at_new(), self._look_at_old(), list[dict[str, Any]]()
        to, of = self._new.name, self._old.name
        if old is None:
            told = [f"{of} does not answer: what had not reached {to} is lost"]
        else:
            told = [f"{to} is {max(0, old.lsn - new.lsn) / _MEGABYTE:,.1f} MB behind {of}"]
            slots = self._slots()
            told += [f"the logical slot {row['name']} of {row['database']} starts over on {to}" for row in slots]
        return Prospect(told, new.facts(), old.facts() if old else None, self._loss(new, old), slots)

    def catch_up(self, looked: Mapping[str, Any], journal: Journal) -> dict[str, Any]:  # noqa: ARG002 - it needs none
        """Wait until the standby has everything that the old side wrote, where that can be known."""
        if not self._course.request.planned:
            return {"last": ""}
        last = self._last_position(looked)
        self._await_replayed(last)
        return {"last": text_of(last)}

    def is_promoted(self, synced: Mapping[str, Any]) -> bool:  # noqa: ARG002 - the server knows
        """Whether it is a standby no more."""
        return not look(self._ports, self._new).in_recovery

    def taken_back(self, looked: Mapping[str, Any], recovery_id: str) -> str:  # noqa: ARG002 - nothing was made
        """Say what the new side is."""
        return f"{self._new.name} is its standby."

    def promote(self, synced: Mapping[str, Any]) -> None:  # noqa: ARG002 - a replica needs no more than its word
        """Tell the standby to be the primary, and wait until it is.

        Raises:
            TargetTimeoutError: it is a standby still.
        """
        seconds = int(self._course.settings.failover.promote_seconds)
        try:
            with self._ports.database(self._new, "postgres").session(application_name="tdev-failover") as session:
                session.rows(load_sql("failover/promote"), {"seconds": seconds})
        except TransientError as error:  # it may have been promoted all the same
            self._course.progress(f"{self._new.name}: {error}")
        deadline = time.monotonic() + seconds
        while look(self._ports, self._new).in_recovery:
            if time.monotonic() > deadline:
                raise TargetTimeoutError(
                    f"{self._new.name} is a standby still, {seconds} s after it was told to be the primary; see its "
                    "log. It may become one later: the old side stays off."
                )
            time.sleep(_POLL_SECONDS)

    def promoted(self, synced: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the new primary is; the old side's last position lies at or before the switch."""
        last = str(synced["last"])
        with self._ports.database(self._new, "postgres").session(application_name="tdev-failover") as session:
            state = looked_at(session)
            switch = switch_point(str(session.rows(load_sql("failover/history"))[0]["history"]))
        if last and lsn_of(last) > switch:
            raise InputError(
                f"{self._new.name} left the old history at {text_of(switch)}, before {self._old.name}'s last position "
                f"{last}: something is lost. Leave both as they are, and compare them by hand."
            )
        return {"timeline": state.timeline, "switch": text_of(switch), "last": last}

    def make_slots(self, looked: Mapping[str, Any]) -> list[str]:
        """Make the logical slots that the old side had and the new one has not; return a sentence for each not made."""
        failed = []
        for row in looked.get("slots", []):
            making = SQL("SELECT pg_create_logical_replication_slot({}, {})").format(
                Literal(row["name"]), Literal(row["plugin"])
            )
            try:
                with self._ports.database(self._new, str(row["database"])).session() as session:
                    if row["name"] not in {one["name"] for one in session.rows(load_sql("failover/slots"))}:
                        session.rows(making)
            except TdevError as error:  # whoever reads it waits; the system does not
                failed.append(f"{row['name']}: {error}")
        return failed

    def _look_at_new(self) -> Database:
        new = look(self._ports, self._new)
        refuse_the_ledgers(self._course, new)
        if not new.in_recovery:
            raise InputError(
                f"{self._new.name} is a primary already; a failover goes to a standby: let it follow {self._old.name}."
            )
        self._refuse_rights()
        if self._course.request.planned and not new.streaming:
            raise InputError(f"{self._new.name} follows nobody right now; mend its replication, or say «not planned».")
        return new

    def _refuse_rights(self) -> None:
        """Refuse what would only fail behind the promotion."""
        needed = {"may_promote": "EXECUTE on pg_promote", "may_read_history": "EXECUTE on pg_read_file(text)"}
        needed |= {"may_write": "EXECUTE on pg_logical_emit_message", "may_monitor": "the role pg_monitor"}
        row = rights_on_new(self._course, needed)
        if row["waits_for"]:
            raise InputError(
                f"{self._new.name} has synchronous_standby_names = {row['waits_for']!r}: as a primary it would wait "
                "for a standby that is off. Empty it first."
            )

    def _look_at_old(self) -> Database | None:
        try:
            old = look(self._ports, self._old)
        except TransientError:
            if self._course.request.planned:
                raise
            return None
        new = look(self._ports, self._new)
        if old.system_identifier != new.system_identifier:
            raise InputError(f"{self._new.name} is no standby of {self._old.name}: it is another database cluster.")
        if old.in_recovery:
            raise InputError(f"{self._old.name} is a standby itself; there is no primary to fail over from.")
        behind = (old.lsn - new.lsn) / _MEGABYTE
        if self._course.request.planned and behind > self._course.settings.failover.lag_megabytes:
            raise InputError(
                f"{self._new.name} is {behind:,.0f} MB behind; wait until it has caught up to "
                f"{self._course.settings.failover.lag_megabytes:g} MB (failover.lag_megabytes)."
            )
        return old

    def _slots(self) -> list[dict[str, Any]]:
        """Return the logical slots that the new side has not."""
        with self._ports.database(self._old, "postgres").session() as session:
            there = session.rows(load_sql("failover/slots"))
        with self._ports.database(self._new, "postgres").session() as session:
            known = {row["name"] for row in session.rows(load_sql("failover/slots"))}
        lost = [row for row in there if row["name"] not in known]
        if lost and not self._course.request.slots:
            names = ", ".join(str(row["name"]) for row in lost)
            raise InputError(
                f"The logical slots {names} are not on {self._new.name} and would start over there; tick «slots», or "
                "let them be synchronised (failover = true, sync_replication_slots)."
            )
        return [dict(row) for row in lost]

    def _loss(self, new: Database, old: Database | None) -> dict[str, Any]:
        replayed = new.last_replayed_at
        return {
            "bytes": max(0, old.lsn - new.lsn) if old else None,
            "last_replayed_at": replayed.isoformat() if replayed else None,
        }

    def _last_position(self, looked: Mapping[str, Any]) -> int:
        """Return where the old side's last checkpoint stands; only a shut-down server has one that nothing follows."""
        control = control_data(self._ports, self._course.settings, self._old)
        if control.system_identifier != look(self._ports, self._new).system_identifier:
            raise InputError(
                f"The data directory of {self._old.name} ({self._old.data_directory}) is of another cluster; mend "
                "failover.sides."
            )
        if not control.shut_down:
            raise InputError(
                f"{self._old.name} did not shut down cleanly, so that nobody knows its last position. It is taken "
                "back; then start again as not planned, if that has to be."
            )
        before = looked.get("old")
        if before and control.checkpoint < lsn_of(before["lsn"]):
            raise InputError(
                f"The control file of {self._old.name} is older than what it had written already; see data_directory."
            )
        return control.checkpoint

    def _await_replayed(self, position: int) -> None:
        """Wait until the standby is behind the shutdown checkpoint, which begins at `position`."""
        deadline = time.monotonic() + self._course.settings.failover.catch_up_seconds
        while (found := look(self._ports, self._new)).lsn <= position:
            self._course.check()
            if time.monotonic() > deadline:
                raise TargetTimeoutError(
                    f"{self._new.name} replayed up to {text_of(found.lsn)} and not to {text_of(position)}, where "
                    f"{self._old.name} ended, within {self._course.settings.failover.catch_up_seconds:g} s."
                )
            time.sleep(_POLL_SECONDS)
        self._course.progress(f"{self._new.name} has replayed everything, up to {text_of(found.lsn)}")

"""A drill from its intent to its evidence, step by step; each may be done by another worker.

What it makes stands in its intent before it is made: whoever comes later can remove it, and this run's own steps may be
killed at any point.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.drill.clean_room import bucket_facts, rehearse
from tdev_operators.core.drill.evidence import Evidence, EvidenceChain
from tdev_operators.core.drill.ports import DrillPorts
from tdev_operators.core.errors import InputError, PermanentError
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.recovery.choose_set import Choice, choose_set
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.sealed_chain import Sealed
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult

KIND = "drill"
SHELL = f"{KIND}-shell-"  # how drills from a shell are called
INTENT, CHOSEN, APPROVED, REHEARSED = "intent", "set", "approval", "rehearsal"
FAILOVER, CLEARED = "failover", "cleared"
NEEDED = 1  # approvals

_BATCH = 1000
_DEAD_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class DrillRequest:
    """One drill. `recovery_id` is the same in every try of it; `which` is a set (empty: the newest PROVEN).

    `approved`: nothing is rehearsed before somebody approved. From a shell it may be; such a drill does not count.
    """

    recovery_id: str
    requested_by: str = ""
    which: str = ""
    approved: bool = True


class Drill:
    """One drill. Every method may be called again, and by a process that knows nothing of the others."""

    def __init__(
        self,
        ports: DrillPorts,
        settings: Settings,
        request: DrillRequest,
        *,
        progress: Callable[[str], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the journal of `request.recovery_id`; nothing is written yet."""
        self._ports, self._settings, self.request = ports, settings, request
        self._progress, self._check = progress, check
        bucket, system = settings.buckets.backups, settings.system.name
        self.repository = Repository(ports.store, bucket, system)
        self.chain = EvidenceChain(ports.store, bucket, system)
        self.journal = Journal(ports.store, bucket, system, request.recovery_id, clock=ports.clock)

    @property
    def scratch_prefix(self) -> str:
        """Where this drill's objects go, in the backups bucket."""
        return f"{self.repository.root}restored/{self.request.recovery_id}/"

    def intend(self) -> None:
        """Write down what is going to be made, and the moment of the assumed disaster. Makes nothing else."""
        if self.journal.last(INTENT) is None:
            self.journal.note(
                INTENT,
                "done",
                asked_by=self.request.requested_by,
                which=self.request.which,
                prefix=self.scratch_prefix,
                disaster_at=self._ports.store.server_time().isoformat(),
            )

    def choose(self) -> Choice:
        """Return the set; the first call decides.

        Raises:
            InputError: nothing is PROVEN, or there is no such set.
        """
        if (chosen := self.journal.done(CHOSEN)) is not None:
            return choose_set([self.repository.get(str(chosen["set_id"]))], unproven=True)
        choice = choose_set(self.repository.sets(), self.request.which)
        self.journal.note(
            CHOSEN,
            "done",
            set_id=choice.set_id,
            manifest_sha256=choice.manifest_sha256,
            recovery_point=choice.manifest.recovery_point.isoformat(),
            database_bytes=sum(dump.raw_bytes for dump in choice.manifest.databases),
            newer=list(choice.newer),
        )
        return choice

    def note_approvals(self, people: Sequence[str]) -> None:
        """Note who approved.

        Raises:
            AccessDeniedError: nobody of the settings who may.
        """
        refuse_unapproved(self._settings.recovery, self.request.requested_by, people, NEEDED)
        self.journal.note(APPROVED, "done", by=sorted(set(people)))

    def note_refusal(self, why: str) -> None:
        """Note that it was not approved."""
        self.journal.note(APPROVED, "refused", why=why)

    def rehearse(self) -> None:
        """Restore in the clean room, use what was restored, and journal what was seen, also when it failed.

        Raises:
            AccessDeniedError: nobody approved.
            InputError: nobody wrote down the intent first.
            TransientError: the store is away; try again: everything is restored anew, and timed anew.
        """
        if self.journal.last(INTENT) is None:
            raise InputError("The drill has no intent; write it down first, so that what it makes can be removed.")
        if self.journal.done(REHEARSED) is not None:
            return
        if self.request.approved:
            approved = self.journal.done(APPROVED)
            people = approved["by"] if approved else ()
            refuse_unapproved(self._settings.recovery, self.request.requested_by, people, NEEDED)
        if self.journal.done(CLEARED) is not None:
            self.journal.note(CLEARED, "undone")
        manifest = self.choose().manifest
        self.journal.note(REHEARSED, "intended")
        self._remove(self.scratch_prefix)  # of a try that was killed: a restore that finds its objects is no restore
        try:
            seen = rehearse(
                self._ports,
                self._settings,
                manifest,
                self.journal,
                self.scratch_prefix,
                turn=self.chain.count(),
                progress=self._progress,
                check=self._check,
            )
        except PermanentError as error:
            self.journal.note(REHEARSED, "failed", why=str(error))
            raise
        self.journal.note(REHEARSED, "done", **seen.facts())

    def note_failover(self, result: CheckResult) -> None:
        """Note what the rehearsal of a failover found."""
        self.journal.note(FAILOVER, "done", **result.to_json())

    def clear(self) -> int:
        """Remove what the intent names; return how many objects that were. Done again, it removes nothing."""
        if self.journal.last(INTENT) is None:
            return 0
        removed = self._remove(self.scratch_prefix)
        if self.journal.done(CLEARED) is None:
            self.journal.note(CLEARED, "done", removed=removed)
        return removed

    def sweep(self, *, alone: bool) -> list[str]:
        """Remove what the intents of other, dead drills name; return their ids.

        `alone`: the caller holds the recovery's lease, so that every other drill is dead. Without, only those count
        that wrote nothing for a day.
        """
        swept = []
        for recovery_id in _drills(self._ports.store, self.repository):
            if recovery_id == self.request.recovery_id:
                continue
            journal = Journal(
                self._ports.store,
                self.repository.bucket,
                self.repository.system,
                recovery_id,
                clock=self._ports.clock,
            )
            intent = journal.last(INTENT)
            if intent is None or journal.done(CLEARED) is not None:
                continue
            dead = alone and not recovery_id.startswith(SHELL)  # from a shell nobody holds a lease
            if dead or self._ports.clock() - journal.entries[-1].at > _DEAD_AFTER:
                removed = self._remove(f"{self.repository.root}restored/{recovery_id}/")
                journal.note(CLEARED, "done", removed=removed, by=self.request.recovery_id)
                swept.append(recovery_id)
        return swept

    def left_over(self) -> int:
        """Return how many objects of this drill are still there."""
        return sum(1 for _ in self._ports.store.list(self.repository.bucket, self.scratch_prefix))

    def seal(self, outcome: ItemOutcome) -> Sealed[Evidence]:
        """Append this drill's evidence to the chain.

        Raises:
            BusyError: another drill's evidence came between; try again.
            ProofFailedError: the chain was tampered with.
        """
        chosen, seen = self.journal.done(CHOSEN) or {}, self.journal.done(REHEARSED) or {}
        intent, approved = self.journal.done(INTENT) or {}, self.journal.done(APPROVED) or {}
        point = chosen.get("recovery_point")
        evidence = Evidence(
            number=0,
            previous_sha256="",
            system=self.repository.system,
            recovery_id=self.request.recovery_id,
            asked_by=self.request.requested_by,
            approved_by=tuple(approved.get("by", ())),
            disaster_at=datetime.fromisoformat(intent["disaster_at"]) if intent else outcome.started_at,
            ended_at=outcome.ended_at,
            set_id=str(chosen.get("set_id", "")),
            manifest_sha256=str(chosen.get("manifest_sha256", "")),
            recovery_point=datetime.fromisoformat(point) if point else None,
            phases=dict(seen.get("phases", {})),
            database_bytes=int(chosen.get("database_bytes", 0)),
            rows=sum(database["rows"] for database in seen.get("databases", ())),
            objects=bucket_facts(seen)[0] if seen else 0,
            verdict=outcome.verdict,
            results=tuple(_told(result.to_json()) for result in outcome.results),
            product_version=version("tdev-maintenance"),
        )
        return self.chain.append(evidence)

    def _remove(self, prefix: str) -> int:
        removed, keys = 0, [info.key for info in _first(self._ports.store, self.repository.bucket, prefix)]
        while keys:
            self._check()
            self._ports.store.delete(self.repository.bucket, keys)
            removed += len(keys)
            keys = [info.key for info in _first(self._ports.store, self.repository.bucket, prefix)]
        return removed


def _first(store: BackupStore, bucket: str, prefix: str) -> list[Any]:
    return [info for info, _ in zip(store.list(bucket, prefix), range(_BATCH), strict=False)]


def _drills(store: BackupStore, repository: Repository) -> list[str]:
    """Return the ids of all drills that have a journal."""
    folder = f"{repository.root}recovery/"
    keys = (info.key.removeprefix(folder) for info in store.list(repository.bucket, f"{folder}{KIND}-"))
    return list(dict.fromkeys(key.partition("/")[0] for key in keys))


def _told(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("check", "verdict", "summary")}

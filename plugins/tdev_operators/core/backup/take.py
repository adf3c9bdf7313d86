"""Taking a set: databases under held snapshots, then the buckets, then the manifest (guide: Backup Procedures).

The order is the point. The database comes first and the buckets after it, so that what a row refers to is in the set;
the manifest comes last, so that a set is complete or none.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Literal

from tdev_operators.core.backup.buckets.read import entries_in
from tdev_operators.core.backup.buckets.references import check_references, source_keys
from tdev_operators.core.backup.buckets.snapshot import snapshot_bucket
from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.database.catalogue import Catalogue
from tdev_operators.core.backup.database.snapshot import HeldSnapshot
from tdev_operators.core.backup.database.taking import DatabaseTaking
from tdev_operators.core.backup.figures import TREND_SETS, figures_of
from tdev_operators.core.backup.manifest import BucketSnapshot, DatabaseDump, Manifest, State
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.backup.proof.scratch import ScratchServer
from tdev_operators.core.backup.protection import check_protection
from tdev_operators.core.backup.readiness import provability, refuse_what_cannot_be_dumped
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.set_records import SetOnDisk, StagedSet
from tdev_operators.core.errors import AccessDeniedError, InputError, TdevError, TransientError
from tdev_operators.core.ports import Clock, utc_now
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

_LEDGER_HINT = "Mend the connection tdev_ledger, then take a set again: the audit trail is in none of tonight's."
_LEDGER_PAUSE_SECONDS = 3.0  # a PostgreSQL that was restarted is back by then


@dataclass(frozen=True, slots=True)
class BackupPorts:
    """What sets are taken from, where they go, and where they are proven.

    `maintained` opens a database of the maintained server by name. `scratch` gives a disposable server of a major
    version.
    """

    store: BackupStore
    maintained: Callable[[str], SourceDatabase]
    ledger: SourceDatabase
    cipher: Cipher
    scratch: Callable[[int], AbstractContextManager[ScratchServer]]
    clock: Clock = utc_now


@dataclass(frozen=True, slots=True)
class Request:
    """What a set shall hold. `holder` identifies the run: its retry goes on with the same set."""

    holder: str
    full: bool = False
    databases: tuple[str, ...] = ()  # empty: those of the settings
    buckets: tuple[str, ...] = ()  # the same


@dataclass(frozen=True, slots=True)
class Taken:
    """A COMPLETE set, and what there is to say about it."""

    manifest: Manifest
    results: tuple[CheckResult, ...]


def backup_lease(system: str) -> str:
    """Return the name of the lease that keeps a system's back-ups apart."""
    return f"backup:{system}"


def take_set(
    ports: BackupPorts,
    settings: Settings,
    request: Request,
    *,
    check: Callable[[], None] = lambda: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Taken:
    """Take a set and make it COMPLETE. The caller holds the system's lease; `check` raises when it is lost.

    Raises:
        InputError: the request names what the settings do not have.
        AccessDeniedError: privileges are missing; says which GRANT gives them.
        TransientError: try again; what was stored is used again where it can be.
    """
    return _Taking(ports, settings, request, check, progress).run()


def to_refer_to(sets: Sequence[SetOnDisk], bucket: str) -> Manifest | None:
    """Return the set whose objects of a bucket a new set may refer to; `sets` come newest first.

    That is the newest one that was read back and has the bucket: what nobody has read, or what failed its verification,
    must not live on in later sets.
    """
    return next(
        (
            one.manifest
            for one in sets
            if one.reached(State.READABLE)
            and one.manifest
            and any(each.name == bucket for each in one.manifest.buckets)
        ),
        None,
    )


@dataclass(slots=True)
class _Taking:
    ports: BackupPorts
    settings: Settings
    request: Request
    check: Callable[[], None]
    progress: Callable[[str], None]
    results: list[CheckResult] = field(default_factory=list)

    def run(self) -> Taken:
        began, started_at = time.monotonic(), self.ports.clock()
        store, settings = self.ports.store, self.settings
        repository = Repository(store, settings.buckets.backups, settings.system.name)
        databases = self._databases()
        buckets = self._buckets()
        databases = [each for each in databases if self._can_be_dumped(*each)]
        self.results.append(check_protection(store, settings.buckets.backups, settings.system.name))
        staged = repository.begin(self.request.holder, full=self.request.full, database_now=_now(databases[0][0]))
        self.progress(f"{'Going on with' if staged.resumed else 'Taking'} set {staged.set_id}")
        grace = timedelta(days=settings.backup.sweep_grace_days)
        repository.clean_leftovers((), grace=grace, own=staged.set_id, still_ours=self.check)

        sets = repository.sets()
        earlier = [one.manifest for one in sets if one.reached(State.COMPLETE) and one.manifest]
        taking = DatabaseTaking(
            store,
            settings.buckets.backups,
            staged.prefix,
            settings.backup,
            self.ports.cipher,
            self.check,
            self.progress,
        )
        dumps, catalogues, keys = list[DatabaseDump](), list[tuple[str, Catalogue]](), list[str]()
        for source, role in databases:
            # The first one is the system's own: its rows refer to the agents' sources.
            look = (lambda held: keys.extend(self._source_keys(held))) if not dumps else (lambda _: None)
            dump, catalogue = taking.take(source, role, look)
            dumps.append(dump)
            catalogues.append((source.name, catalogue))
        globals_file = taking.globals(databases[0][0], catalogues[0][1].major)
        snapshots = [
            self._bucket(staged, name, bucket, None if self.request.full else to_refer_to(sets, name))
            for name, bucket in buckets.items()
        ]
        self._references(staged, snapshots, keys, databases[0][0])
        self.check()
        manifest = Manifest(
            system=settings.system.name,
            set_id=staged.set_id,
            sequence=staged.sequence,
            full=self.request.full,
            started_at=started_at,
            completed_at=_now(databases[0][0]),
            product_version=version("tdev-maintenance"),
            encryption="age" if settings.backup.age_recipients else "none",
            recipients=settings.backup.age_recipients,
            databases=tuple(dumps),
            globals=globals_file,
            buckets=tuple(snapshots),
            requests=dict(store.requests),
        )
        repository.complete(manifest)
        self.progress(f"Set {staged.set_id} is COMPLETE")
        figures = figures_of(manifest, earlier[: 2 * TREND_SETS], settings.backup, seconds=time.monotonic() - began)
        # Not before: it must not keep the set waiting.
        self.results += provability(catalogues, self.ports.scratch)
        return Taken(manifest, (*figures, *self.results))

    def _databases(self) -> list[tuple[SourceDatabase, Literal["maintained", "ledger"]]]:
        names = self.request.databases or self.settings.backup.databases
        if strange := [name for name in names if name not in self.settings.backup.databases]:
            raise InputError(f"backup.databases has no {strange[0]}; choose from what it lists.")
        ledger = self.ports.ledger
        if ledger.name in names:
            raise InputError(
                f"The ledger's database is named {ledger.name}, as a maintained one is; give it another name."
            )
        return [*((self.ports.maintained(name), "maintained") for name in names), (ledger, "ledger")]

    def _buckets(self) -> dict[str, str]:
        sources = self.settings.buckets.sources
        names = self.request.buckets or tuple(sources)
        if strange := [name for name in names if name not in sources]:
            raise InputError(f"There is no source bucket {strange[0]}; choose from: {', '.join(sources)}.")
        return {name: sources[name] for name in names}

    def _can_be_dumped(self, source: SourceDatabase, role: str) -> bool:
        """Refuse a maintained database that cannot be dumped. Without the ledger, the rest is taken all the same."""
        try:
            if role == "ledger":
                self._look_again(lambda: refuse_what_cannot_be_dumped(source, self.settings.backup.client_tools))
            else:
                refuse_what_cannot_be_dumped(source, self.settings.backup.client_tools)
        except TdevError as error:
            if role != "ledger":
                raise
            summary = f"The ledger is not in this set: {error}"
            self.results.append(CheckResult("backup.ledger", Verdict.UNKNOWN, summary, hint=_LEDGER_HINT))
            return False
        return True

    def _look_again(self, look: Callable[[], None]) -> None:
        """Look once more, a moment later: a connection that breaks must not cost tonight's audit trail."""
        try:
            look()
        except TransientError:
            time.sleep(_LEDGER_PAUSE_SECONDS)
            self.check()
            look()

    def _source_keys(self, held: HeldSnapshot) -> list[str]:
        return source_keys(held.session, self.settings.health.agents.source_key)

    def _bucket(self, staged: StagedSet, name: str, bucket: str, previous: Manifest | None) -> BucketSnapshot:
        snapshot, report = snapshot_bucket(
            self.ports.store,
            name=name,
            bucket=bucket,
            target_bucket=self.settings.buckets.backups,
            system=self.settings.system.name,
            set_id=staged.set_id,
            previous=previous,
            settings=self.settings.backup,
            cipher=self.ports.cipher,
            full=self.request.full,
            now=self.ports.clock(),
            progress=self.progress,
            check=self.check,
        )
        self.results.append(report.result())
        return snapshot

    def _references(
        self, staged: StagedSet, snapshots: Sequence[BucketSnapshot], keys: Sequence[str], database: SourceDatabase
    ) -> None:
        agents = next((snapshot for snapshot in snapshots if snapshot.name == "agents"), None)
        if agents is None:
            return
        place = Place(self.settings.buckets.backups, f"{self.settings.system.name}/")
        try:
            found = check_references(
                keys,
                entries_in(self.ports.store, place, staged.set_id, agents, self.ports.cipher),
                still_there=lambda some: _still_there(database, self.settings.health.agents.source_key, some),
            )
        except AccessDeniedError as error:  # sealed, and the identity is not here
            summary = f"The references of the database were not checked: {error}"
            self.results.append(CheckResult("backup.references", Verdict.UNKNOWN, summary))
            return
        self.results.append(found.result())


def _now(source: SourceDatabase) -> datetime:
    with source.session() as session:
        now: datetime = session.rows("SELECT clock_timestamp() AS now")[0]["now"]
    return now


def _still_there(database: SourceDatabase, template: str, keys: Sequence[str]) -> set[str]:
    with database.session() as session:
        return set(source_keys(session, template)) & set(keys)

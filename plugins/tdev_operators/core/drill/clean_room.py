"""The clean room: everything that a set holds, restored where nothing else is, and looked at as it would be used.

The disposable server, the application and the scratch objects are made for this run alone. Nothing of the live system
is reached: what is needed is the bucket, its credentials and, for sealed sets, the key.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from psycopg.sql import SQL, Identifier

from tdev_operators.core.backup.buckets.read import entries_in
from tdev_operators.core.backup.buckets.references import References, check_references, source_keys
from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.database.proof_record import ProofRecord, record
from tdev_operators.core.backup.manifest import DatabaseDump, Manifest
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.backup.proof.sabotage import Judge, MutantOutcome, feed_one
from tdev_operators.core.backup.proof.scratch import ScratchServer
from tdev_operators.core.drill.application import ScratchBuckets, health_of, started, written_and_read
from tdev_operators.core.drill.ports import DrillPorts
from tdev_operators.core.errors import GarbledAnswerError, InputError, PermanentError, ProofFailedError
from tdev_operators.core.recovery.buckets import BucketRestored, Target, restore_bucket
from tdev_operators.core.recovery.database import RestoredDatabase, dump_of, restore_beside
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.settings import Settings

_MAJOR = 10_000
_SPOILED = "tdev_drill_spoiled"
_PROOF_LIMIT_BYTES = 256 * 1024 * 1024
_DAMAGED_SHOWN = 20


@dataclass(slots=True)
class Rehearsal:
    """What was seen in the clean room. `phases` are seconds, in order; their sum is the recovery time.

    `objects` are those restored, `used` says what the application did, or `unusable` why it did not. `health` are the
    checks that are not OK, with their sentences. `mutant` is None when there was nothing to spoil.
    """

    phases: dict[str, float] = field(default_factory=dict)
    databases: list[RestoredDatabase] = field(default_factory=list)
    buckets: list[BucketRestored] = field(default_factory=list)
    references: References | None = None
    heartbeat_at: datetime | None = None
    used: str = ""
    unusable: str = ""
    checks: int = 0
    health: dict[str, str] = field(default_factory=dict)
    mutant: MutantOutcome | None = None

    def facts(self) -> dict[str, Any]:
        """Return it as JSON for the journal."""
        return {
            "phases": {name: round(seconds, 3) for name, seconds in self.phases.items()},
            "databases": [database.facts() for database in self.databases],
            "buckets": [
                {**asdict(bucket), "damaged": bucket.damaged[:_DAMAGED_SHOWN], "damages": len(bucket.damaged)}
                for bucket in self.buckets
            ],
            "references": self.references and asdict(self.references),
            "heartbeat_at": self.heartbeat_at and self.heartbeat_at.isoformat(),
            "used": self.used,
            "unusable": self.unusable,
            "checks": self.checks,
            "health": self.health,
            "mutant": self.mutant and asdict(self.mutant),
        }


def rehearse(
    ports: DrillPorts,
    settings: Settings,
    manifest: Manifest,
    journal: Journal,
    scratch_prefix: str,
    *,
    turn: int,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Rehearsal:
    """Restore everything, start the application on it, use it, and feed a mutant to a copy.

    Objects go below `scratch_prefix` of the backups bucket, which the caller clears. `turn` is the mutant's. Damage
    that was found is in the answer; what makes going on senseless is raised.

    Raises:
        ProofFailedError, GarbledAnswerError: the set cannot be restored.
        InputError: the disposable server lacks what a database needs.
        TransientError: the store is away; try again.
    """
    return _CleanRoom(ports, settings, manifest, journal, scratch_prefix, turn, progress, check).run()


class _CleanRoom:
    def __init__(
        self,
        ports: DrillPorts,
        settings: Settings,
        manifest: Manifest,
        journal: Journal,
        scratch_prefix: str,
        turn: int,
        progress: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._ports, self._manifest, self._journal, self._turn = ports, manifest, journal, turn
        # Roles get no password here: the disposable server asks for none.
        recovery = settings.recovery.model_copy(update={"role_passwords": {}})
        self._settings = settings.model_copy(update={"recovery": recovery})
        self._prefix, self._progress, self._check = scratch_prefix, progress, check
        self._place = Place(settings.buckets.backups, f"{settings.system.name}/")
        self._seen = Rehearsal()

    def run(self) -> Rehearsal:
        maintained = dump_of(self._manifest)
        names = [dump.name for dump in self._manifest.databases]
        if len(set(names)) < len(names) or "postgres" in names:
            raise InputError(f"The set's databases ({', '.join(names)}) cannot stand on one disposable server by name.")
        others = [dump for dump in self._manifest.databases if dump is not maintained]
        with self._server(maintained) as server:
            self._restore(server, maintained)
            for dump in others:
                if _major(dump) == _major(maintained):
                    self._restore(server, dump)
                else:
                    with self._server(dump) as another:
                        self._restore(another, dump)
            with self._phase("buckets"):
                self._seen.buckets = self._restore_buckets(self._ports.store, self._prefix)
            target = server.open_database(maintained.name)
            with self._phase("references"):
                self._seen.references = self._references(target)
            self._seen.heartbeat_at = self._heartbeat(target)
            if not any(database.differences for database in self._seen.databases):
                self._seen.mutant = self._spoil(server, maintained)
            self._use(target)
        return self._seen

    @contextmanager
    def _server(self, dump: DatabaseDump) -> Iterator[ScratchServer]:
        begun = time.monotonic()
        with self._ports.scratch(_major(dump)) as server:
            self._took("server", time.monotonic() - begun)
            yield server

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._check()
        begun = time.monotonic()
        yield
        self._took(name, time.monotonic() - begun)

    def _took(self, phase: str, seconds: float) -> None:
        self._seen.phases[phase] = self._seen.phases.get(phase, 0.0) + seconds
        self._progress(f"{phase}: {seconds:.1f} s")

    def _restore(self, server: ScratchServer, dump: DatabaseDump) -> None:
        restored = restore_beside(
            self._recovery(self._ports.store, server.open_database),
            self._settings,
            self._manifest,
            dump,
            dump.name,
            self._journal,
            progress=self._progress,
            check=self._check,
        )
        self._seen.databases.append(restored)
        for phase, seconds in restored.phases.items():
            self._took(phase, seconds)

    def _recovery(self, store: BackupStore, open_database: Callable[[str], SourceDatabase]) -> RecoveryPorts:
        return RecoveryPorts(
            store=store,
            server=open_database,
            cipher=self._ports.cipher,
            password_of=lambda _conn_id: "",
            clock=self._ports.clock,
        )

    def _restore_buckets(self, store: BackupStore, prefix: str) -> list[BucketRestored]:
        """Restore every bucket, as a store serves it, below a prefix."""
        return [
            restore_bucket(
                self._recovery(store, lambda _name: _no_server()),
                self._place,
                self._manifest,
                snapshot.name,
                Target(self._place.bucket, f"{prefix}{snapshot.name}/", through_us=True),
                progress=self._progress,
                check=self._check,
            )
            for snapshot in self._manifest.buckets
        ]

    def _references(self, target: SourceDatabase) -> References | None:
        snapshot = next((one for one in self._manifest.buckets if one.name == "agents"), None)
        if snapshot is None:
            return None
        template = self._settings.health.agents.source_key
        with target.session() as session:
            keys = source_keys(session, template)
        entries = entries_in(self._ports.store, self._place, self._manifest.set_id, snapshot, self._ports.cipher)
        return check_references(keys, entries, still_there=set)

    def _heartbeat(self, target: SourceDatabase) -> datetime | None:
        rules = self._settings.drill.heartbeat
        newest = SQL("SELECT max({})::timestamptz AS newest FROM {}").format(
            Identifier(rules.column), Identifier(*rules.table.split("."))
        )
        try:
            with target.session() as session:
                found: datetime | None = session.rows(newest)[0]["newest"]
        except PermanentError as error:  # no such table: the report says that there is no heartbeat, and why
            self._progress(f"drill.heartbeat: {error}")
            return None
        return found

    def _spoil(self, server: ScratchServer, dump: DatabaseDump) -> MutantOutcome | None:
        """Feed a mutant to a copy of the restored database, or to what the store serves."""
        with server.admin.session() as session:
            session.rows(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(_SPOILED), Identifier(dump.name)))
        files = SetFiles(self._ports.store, self._place.bucket, self._folder, self._ports.cipher)
        expected = ProofRecord.model_validate_json(files.whole(dump.proof, max_bytes=_PROOF_LIMIT_BYTES))
        judge = Judge(
            self._ports.store, self._place.bucket, self._folder, self._ports.cipher, self._record, self._judged_buckets
        )
        spoiled = server.open_database(_SPOILED)
        outcome = feed_one(judge, self._turn, self._manifest, dump, spoiled, expected)
        if outcome:
            self._progress(f"sabotage '{outcome.name}' of {outcome.target}: {outcome.caught_by or 'NOT NOTICED'}")
        return outcome

    def _record(self, target: SourceDatabase) -> ProofRecord:
        jobs = self._settings.backup.parallel_jobs
        return record(target, jobs=jobs, progress=self._progress, still_ours=self._check)

    def _judged_buckets(self, store: BackupStore) -> tuple[str, ...]:
        try:
            restored = self._restore_buckets(store, f"{self._prefix}spoiled/")
        except (ProofFailedError, GarbledAnswerError, InputError) as error:
            return (str(error),)
        return tuple(damage for bucket in restored for damage in bucket.damaged)

    def _use(self, target: SourceDatabase) -> None:
        rules, begun = self._settings.drill.application, time.monotonic()
        try:
            with started(rules, target, self._ports, self._check) as api:
                self._seen.used = written_and_read(api)
                self._took("application", time.monotonic() - begun)
                self._progress(f"application: {self._seen.used}")
                outcome = health_of(self._ports, self._settings, target, api, self._scratch_buckets())
        except PermanentError as error:
            self._seen.unusable = str(error)
            return
        self._seen.checks = len(outcome.results)
        self._seen.health = {
            result.check: f"{result.verdict.value}: {result.summary}"
            for result in outcome.results
            if result.verdict.is_red
        }

    def _scratch_buckets(self) -> ScratchBuckets:
        prefixes = {snapshot.bucket: f"{self._prefix}{snapshot.name}/" for snapshot in self._manifest.buckets}
        return ScratchBuckets(self._ports.store, self._place.bucket, prefixes)

    @property
    def _folder(self) -> str:
        return f"{self._settings.system.name}/{self._manifest.set_id}/"


def _major(dump: DatabaseDump) -> int:
    return dump.server_version_num // _MAJOR


def _no_server() -> SourceDatabase:
    raise InputError("Objects are restored here, and no database.")


def bucket_facts(facts: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many objects a rehearsal's facts say were written, and how many were damaged."""
    return (
        sum(bucket["written"] for bucket in facts["buckets"]),
        sum(bucket["damages"] for bucket in facts["buckets"]),
    )

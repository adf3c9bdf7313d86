"""The proof of a set: restored from the bucket alone, equal to its source at the snapshot, its mutant caught."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.database.proof_record import ProofRecord, compare, record
from tdev_operators.core.backup.database.tools import tool
from tdev_operators.core.backup.manifest import DatabaseDump, Manifest
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.backup.proof.restore import RestoreOptions, restore_database, restore_globals
from tdev_operators.core.backup.proof.sabotage import Judge, MutantOutcome, feed_one
from tdev_operators.core.backup.proof.scratch import Needs, ScratchServer
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.errors import GarbledAnswerError, InputError, ProofFailedError
from tdev_operators.core.verdicts import Verdict

_PUBLIC = "schema public"
_PROOF_LIMIT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BucketsProof:
    """What a look at the bucket snapshots found; `figures` are for people and for trends."""

    differences: tuple[str, ...]
    figures: Mapping[str, float] = field(default_factory=dict)


class RestoreBuckets(Protocol):
    """Restores a sample of the bucket snapshots to a scratch prefix and checks their checksums."""

    def __call__(self, store: BackupStore, manifest: Manifest) -> BucketsProof:
        """Look, through this store. Damage is a difference, or a ProofFailedError, GarbledAnswerError or InputError."""


@dataclass(frozen=True, slots=True)
class DatabaseProof:
    """One database's proof. `unprovable` says why it could not be tried. Phases are seconds, `record` the digests."""

    name: str
    differences: tuple[str, ...] = ()
    unprovable: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    raw_bytes: int = 0
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ProofReport:
    """What a proof found. Only `verdict` OK makes a set PROVEN. `mutant` is None when the set itself failed."""

    set_id: str
    databases: tuple[DatabaseProof, ...]
    buckets: BucketsProof
    mutant: MutantOutcome | None
    seconds: float

    @property
    def differences(self) -> tuple[str, ...]:
        """Everything that is not as it was."""
        found = [f"{proof.name}: {difference}" for proof in self.databases for difference in proof.differences]
        return (*found, *self.buckets.differences)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why, without a difference, this is no proof."""
        found = [f"{proof.name}: {proof.unprovable}" for proof in self.databases if proof.unprovable]
        if not self.databases:
            found.append("the set holds no database")
        if self.mutant and not self.mutant.caught_by:
            found.append(f"the mutant '{self.mutant.name}' ({self.mutant.target}) was not noticed")
        if self.mutant is None and not self.differences:
            found.append("no mutant was tried")
        return tuple(found)

    @property
    def verdict(self) -> Verdict:
        """CRITICAL with a difference, UNKNOWN with a doubt, else OK."""
        if self.differences:
            return Verdict.CRITICAL
        return Verdict.UNKNOWN if self.doubts else Verdict.OK

    def facts(self) -> dict[str, float | int | str]:
        """Return the figures for the attestation: seconds a phase and database, bytes, the mutant."""
        facts: dict[str, float | int | str] = {"seconds": round(self.seconds, 3)}
        for proof in self.databases:
            facts |= {f"{proof.name}.{phase}_seconds": round(took, 3) for phase, took in proof.phases.items()}
            facts |= {f"{proof.name}.raw_bytes": proof.raw_bytes, f"{proof.name}.stored_bytes": proof.stored_bytes}
        facts |= {f"buckets.{name}": figure for name, figure in self.buckets.figures.items()}
        if self.mutant:
            facts |= {"mutant": self.mutant.name, "mutant_caught_by": self.mutant.caught_by}
        return facts


def prove_set(
    store: BackupStore,
    bucket: str,
    system: str,
    manifest: Manifest,
    settings: BackupSettings,
    cipher: Cipher,
    *,
    scratch: Callable[[int], AbstractContextManager[ScratchServer]],
    restore_buckets: RestoreBuckets,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> ProofReport:
    """Restore every database of a set on a disposable server and hold it against the proof that the set holds.

    `scratch` gives a disposable server of a major version. Damage and differences come back in the report; what is
    only out of reach is raised, so that it is tried again.

    Raises:
        TransientError: the store or the server is away, or silent.
        AccessDeniedError: the set is encrypted and no identity fits.
        SetupMissingError: there are no programs of the source's major version.
    """
    return _Proof(store, bucket, system, manifest, settings, cipher, restore_buckets, progress, check).run(scratch)


class _Proof:
    """One run of `prove_set`."""

    def __init__(
        self,
        store: BackupStore,
        bucket: str,
        system: str,
        manifest: Manifest,
        settings: BackupSettings,
        cipher: Cipher,
        restore_buckets: RestoreBuckets,
        progress: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._store, self._bucket, self._cipher = store, bucket, cipher
        self._folder = f"{system}/{manifest.set_id}/"
        self._files = SetFiles(store, bucket, self._folder, cipher)
        self._manifest, self._settings = manifest, settings
        self._restore_buckets, self._progress, self._check = restore_buckets, progress, check
        self._mutant: MutantOutcome | None = None

    def run(self, scratch: Callable[[int], AbstractContextManager[ScratchServer]]) -> ProofReport:
        begun = time.monotonic()
        buckets = self._buckets(self._store)
        proofs: list[DatabaseProof] = []
        # The maintained database last of its server's: the mutant may spoil it.
        ordered = sorted(self._manifest.databases, key=lambda dump: (dump.major, dump.role == "maintained"))
        for major, dumps in groupby(ordered, attrgetter("major")):
            with scratch(major) as server:
                proofs += [self._database(dump, server, healthy=not buckets.differences) for dump in dumps]
        return ProofReport(self._manifest.set_id, tuple(proofs), buckets, self._mutant, time.monotonic() - begun)

    def _database(self, dump: DatabaseDump, server: ScratchServer, *, healthy: bool) -> DatabaseProof:
        major = dump.major
        programs = {name: self._tool(name, major) for name in ("psql", "pg_restore")}
        self._progress(f"proof of {dump.name}: restoring {dump.raw_bytes / 1e6:.0f} MB")
        try:
            expected = ProofRecord.model_validate_json(self._files.whole(dump.proof, max_bytes=_PROOF_LIMIT_BYTES))
        except (ProofFailedError, GarbledAnswerError) as error:
            return DatabaseProof(dump.name, (str(error),))
        except ValueError:
            return DatabaseProof(dump.name, unprovable=f"the proof {dump.proof.key} is not of a format that we know")
        options = RestoreOptions(
            jobs=self._settings.parallel_jobs, analyze=False, without_public=_PUBLIC not in expected.definitions
        )
        try:
            with server.database(Needs.of_dump(dump)) as target:
                restore_globals(self._files, dump.globals or self._manifest.globals, target, programs["psql"], options)
                restored = restore_database(
                    self._files,
                    dump,
                    target,
                    programs["pg_restore"],
                    options=options,
                    progress=self._progress,
                    check=self._check,
                )
                begun = time.monotonic()
                found = self._record(target)
                phases = {**restored.phases, "record": time.monotonic() - begun}
                differences = compare(expected, found)
                if dump.role == "maintained" and healthy and not differences:
                    self._mutant = self._try_mutant(dump, target, expected)
        except (ProofFailedError, GarbledAnswerError) as error:
            return DatabaseProof(dump.name, (str(error),))
        except InputError as error:
            return DatabaseProof(dump.name, unprovable=str(error))
        return DatabaseProof(dump.name, differences, "", phases, restored.raw_bytes, restored.stored_bytes)

    def _buckets(self, store: BackupStore) -> BucketsProof:
        if not self._manifest.buckets:
            return BucketsProof(())
        try:
            return self._restore_buckets(store, self._manifest)
        except (ProofFailedError, GarbledAnswerError, InputError) as error:
            return BucketsProof((str(error),))

    def _try_mutant(self, dump: DatabaseDump, target: SourceDatabase, expected: ProofRecord) -> MutantOutcome | None:
        self._check()
        judge = Judge(
            self._store,
            self._bucket,
            self._folder,
            self._cipher,
            self._record,
            lambda store: self._buckets(store).differences,
        )
        outcome = feed_one(judge, self._manifest.sequence, self._manifest, dump, target, expected)
        if outcome:
            self._progress(f"mutant '{outcome.name}': {outcome.caught_by or 'NOT NOTICED'}")
        return outcome

    def _record(self, target: SourceDatabase) -> ProofRecord:
        jobs = self._settings.parallel_jobs
        return record(target, jobs=jobs, progress=self._progress, still_ours=self._check)

    def _tool(self, name: str, major: int) -> Path:
        return tool(name, major, self._settings.client_tools)

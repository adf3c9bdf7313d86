"""Feeding mutants to the code that judges a set, to see it caught: who checks the check."""

from collections.abc import Callable
from dataclasses import dataclass

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.database.proof_record import ProofRecord, compare
from tdev_operators.core.backup.manifest import DatabaseDump, Manifest
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.backup.proof.mutants import (
    AlteredStore,
    BucketMutant,
    DatabaseMutant,
    FileMutant,
    Mutant,
    SwappedStore,
    rotation,
)
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.errors import ProofFailedError


@dataclass(frozen=True, slots=True)
class MutantOutcome:
    """Which mutant was fed, to what, and how it was noticed; empty `caught_by`: it was not."""

    name: str
    target: str
    caught_by: str


@dataclass(frozen=True, slots=True)
class Judge:
    """The code that a mutant must not pass: a set's files, a restored database's record, the bucket snapshots.

    `buckets` says what is wrong with them, read through a store.
    """

    store: BackupStore
    bucket: str
    folder: str
    cipher: Cipher
    record: Callable[[SourceDatabase], ProofRecord]
    buckets: Callable[[BackupStore], tuple[str, ...]]


def feed_one(
    judge: Judge, turn: int, manifest: Manifest, dump: DatabaseDump, target: SourceDatabase, expected: ProofRecord
) -> MutantOutcome | None:
    """Feed the first mutant of the rotation, from `turn` on, that there is something to do to; None: there is none.

    `target` is the restored database, equal to `expected`; it may be spoiled by this.
    """
    for mutant in rotation(turn):
        if outcome := _outcome(judge, mutant, manifest, dump, target, expected):
            return outcome
    return None


def _outcome(
    judge: Judge, mutant: Mutant, manifest: Manifest, dump: DatabaseDump, target: SourceDatabase, expected: ProofRecord
) -> MutantOutcome | None:
    match mutant:
        case FileMutant():
            return _file_outcome(judge, mutant, dump)
        case BucketMutant():
            if not any(snapshot.objects and snapshot.bytes for snapshot in manifest.buckets):
                return None
            found = judge.buckets(SwappedStore(judge.store).as_store())
            return MutantOutcome(mutant.name, "all buckets", found[0] if found else "")
        case DatabaseMutant():
            with target.session() as session:
                what = mutant.sabotage(session)
            if not what:
                return None
            seen = compare(expected, judge.record(target))
            return MutantOutcome(mutant.name, what, seen[0] if seen else "")


def _file_outcome(judge: Judge, mutant: FileMutant, dump: DatabaseDump) -> MutantOutcome | None:
    # The smallest is as good as the largest: the same code reads them all.
    file = min((file for file in dump.files if file.size_bytes), key=lambda each: each.size_bytes, default=None)
    if file is None:
        return None
    altered = AlteredStore(judge.store, f"{judge.folder}{file.key}", mutant.alter)
    try:
        for _ in SetFiles(altered, judge.bucket, judge.folder, judge.cipher).plain(file):
            pass
    except ProofFailedError as error:
        return MutantOutcome(mutant.name, file.key, str(error))
    return MutantOutcome(mutant.name, file.key, "")

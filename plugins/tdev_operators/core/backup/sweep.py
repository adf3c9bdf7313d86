"""Carries out a retention plan: sets first, each as a whole, then the bytes that no kept set refers to.

A set goes in an order that no crash can turn into harm: `staged.json` (so that what is left never looks like a
back-up under way), `manifest.json` (so that it never looks complete), attestations. What remains is a remnant. Its
bytes go after a grace time, when the indexes of the kept sets that refer to it were read and none needs them.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.backup.buckets.index import read_index
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import MANIFEST, PROVEN, READABLE, STAGED, BucketSnapshot, State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.retention import RetentionPlan
from tdev_operators.core.backup.set_folders import Folder
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError, PermanentError
from tdev_operators.core.reporting.wording import counted

_KEYS_A_DELETE = 1000

References = Callable[[SetOnDisk, BucketSnapshot], Iterator[tuple[str, str]]]
Journal = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True)
class SweepReport:
    """What was removed and what was not.

    `locked` says of sets and objects why the store refused; `unread` names remnants that stay because the index of a
    set that refers to them could not be read. `waiting_objects` are younger than the grace time.
    """

    removed_sets: list[str] = field(default_factory=list)
    removed_objects: int = 0
    removed_bytes: int = 0
    referenced_objects: int = 0
    waiting_objects: int = 0
    locked: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


def apply_plan(
    repository: Repository,
    plan: RetentionPlan,
    *,
    grace: timedelta,
    references: References,
    journal: Journal,
    progress: Callable[[str], None],
    still_ours: Callable[[], None],
) -> SweepReport:
    """Remove the sets that the plan names, then unreferenced bytes of remnants written longer than `grace` ago.

    The caller holds the system's lease. `references(set, snapshot)` streams, for one bucket of a kept set, the set id
    and the key (relative to that set's folder) of every object that its index refers to. `journal(event, facts)` is
    called before anything is removed. Doing it again is safe, after a crash as well.

    Raises:
        InputError: the plan is refused, or the bucket is no longer what it was made of.
        BusyError: a back-up is under way, or can still be resumed and may refer to what would go.
    """
    if plan.refusal:
        raise InputError(f"The retention plan is refused: {plan.refusal}")
    store_now = repository.store.server_time()
    folders = list(repository.folders())
    _refuse_while_staged(folders, store_now - grace)
    sets = {one.set_id: one for one in repository.sets()}
    _refuse_changes(plan, sets)
    report = SweepReport()
    for set_id in plan.remove:
        if set_id not in sets:
            continue  # an earlier try removed it
        still_ours()
        journal("remove_set", {"set_id": set_id, "state": sets[set_id].state.value})
        if _remove_marks(repository, set_id, report):
            report.removed_sets.append(set_id)
            del sets[set_id]
            progress(f"Removed {set_id}; {counted(len(sets), 'set')} left.")
    remnants = [folder.set_id for folder in folders if folder.is_remnant] + report.removed_sets
    if remnants:
        _sweep(repository, remnants, list(sets.values()), store_now - grace, references, journal, still_ours, report)
        progress(f"Swept {counted(report.removed_objects, 'object')} of {counted(len(remnants), 'removed set')}.")
    return report


def index_references(repository: Repository, cipher: Cipher) -> References:
    """Return the `references` that reads the indexes of sets; sealed ones need the identity."""

    def references(one: SetOnDisk, snapshot: BucketSnapshot) -> Iterator[tuple[str, str]]:
        folder = repository.folder(one.set_id)
        for entry in read_index(repository.store, repository.bucket, folder, snapshot.index, cipher):
            yield entry.set_id, entry.at

    return references


def _refuse_while_staged(folders: list[Folder], before: datetime) -> None:
    for folder in folders:
        if folder.is_staged and folder.marks[STAGED].modified >= before:
            raise BusyError(
                f"The back-up {folder.set_id} is under way or can be resumed; retention waits until it is complete or "
                "older than backup.sweep_grace_days."
            )


def _refuse_changes(plan: RetentionPlan, sets: Mapping[str, SetOnDisk]) -> None:
    gone = [set_id for set_id in plan.keep if set_id not in sets]
    if gone:
        raise InputError(f"The set {gone[0]} is kept by the plan and is no longer there; make a new plan.")
    going = set(plan.remove)
    planned = {decision.set_id: decision.state for decision in plan.decisions}
    for set_id in going & sets.keys():
        if sets[set_id].state is not planned[set_id]:
            raise InputError(f"The set {set_id} is {sets[set_id].state} since the plan was made; make a new plan.")
    proven = [one for one in sets.values() if one.state is State.PROVEN]
    newest = max(proven, key=lambda one: (one.sequence, one.set_id), default=None)
    if newest is not None and newest.set_id in going:
        raise InputError(f"The plan removes {newest.set_id}, the newest PROVEN set; that is never done.")


def _remove_marks(repository: Repository, set_id: str, report: SweepReport) -> bool:
    folder = repository.folder(set_id)
    for name in (STAGED, MANIFEST, PROVEN, READABLE):
        try:
            repository.store.delete(repository.bucket, [folder + name])
        except AccessDeniedError as error:
            report.locked[set_id] = str(error)
            return name in {PROVEN, READABLE}  # without its manifest it is no set any more
    return True


def _sweep(
    repository: Repository,
    remnants: list[str],
    kept: list[SetOnDisk],
    before: datetime,
    references: References,
    journal: Journal,
    still_ours: Callable[[], None],
    report: SweepReport,
) -> None:
    needed = Marked()
    for one in kept:
        for snapshot, theirs in _references_into(one, remnants, report):
            still_ours()
            try:
                for set_id, key in references(one, snapshot):
                    if set_id in theirs:
                        needed.add(f"{set_id}/{key}")
            except PermanentError as error:
                for set_id in theirs:
                    report.unread[set_id] = f"the index of {snapshot.name} in {one.set_id} cannot be read: {error}"
    for set_id in remnants:
        if set_id not in report.unread:
            _sweep_remnant(repository, set_id, needed, before, journal, still_ours, report)


def _references_into(
    one: SetOnDisk, remnants: list[str], report: SweepReport
) -> Iterator[tuple[BucketSnapshot, frozenset[str]]]:
    """Yield the buckets of a set that refer to remnants, by its manifest. One without a readable manifest may do so."""
    if one.manifest is None:
        if one.has_manifest:
            for set_id in remnants:
                report.unread[set_id] = f"the manifest of {one.set_id} cannot be read"
        return
    for snapshot in one.manifest.buckets:
        if theirs := frozenset(snapshot.referenced_sets) & frozenset(remnants):
            yield snapshot, theirs


def _sweep_remnant(
    repository: Repository,
    set_id: str,
    needed: "Marked",
    before: datetime,
    journal: Journal,
    still_ours: Callable[[], None],
    report: SweepReport,
) -> None:
    folder = repository.folder(set_id)
    batch: list[str] = []
    size = 0

    def flush() -> None:
        nonlocal batch, size
        if not batch:
            return
        still_ours()
        journal("remove_objects", {"set_id": set_id, "objects": len(batch), "bytes": size, "first": batch[0]})
        try:
            repository.store.delete(repository.bucket, batch)
            report.removed_objects += len(batch)
            report.removed_bytes += size
        except AccessDeniedError as error:
            report.locked[set_id] = str(error)
        batch, size = [], 0

    for info in repository.store.list(repository.bucket, folder):
        if f"{set_id}/{info.key[len(folder) :]}" in needed:
            report.referenced_objects += 1
        elif info.modified >= before:
            report.waiting_objects += 1
        else:
            batch.append(info.key)
            size += info.size_bytes
            if len(batch) == _KEYS_A_DELETE:
                flush()
    flush()


class Marked:
    """Remembers any number of keys in 32 MiB. It may believe that it knows a stranger; it never forgets a key.

    A stranger that it believes to know stays this time; the salt is another one the next time.
    """

    _BITS = 1 << 28

    def __init__(self) -> None:
        self._bits = bytearray(self._BITS // 8)
        self._salt = secrets.token_bytes(16)

    def add(self, key: str) -> None:
        """Remember a key."""
        at = self._at(key)
        self._bits[at >> 3] |= 1 << (at & 7)

    def __contains__(self, key: str) -> bool:
        at = self._at(key)
        return bool(self._bits[at >> 3] & (1 << (at & 7)))

    def _at(self, key: str) -> int:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, salt=self._salt).digest()
        return int.from_bytes(digest, "big") % self._BITS

"""The sets of one system in the backups bucket: what stands there decides, and nothing else.

A folder with neither manifest nor `staged.json` is a remnant: retention removed the set, and later sets still refer
to some of its bytes. It is no set, and only `sweep` touches it.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import ValidationError

from tdev_operators.core.backup.manifest import (
    MANIFEST,
    PROVEN,
    READABLE,
    STAGED,
    Attestation,
    Manifest,
    State,
    digest_of,
)
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_folders import MARKS, Folder, behind, walk
from tdev_operators.core.backup.set_ids import folder_of, is_set_id, make_set_id, order_of, parse_set_id, root_of
from tdev_operators.core.backup.set_records import Leftovers, SetOnDisk, StagedMark, StagedSet, files_of
from tdev_operators.core.errors import BusyError, GarbledAnswerError, InputError

_MANIFEST_MAX_BYTES = 64 * 1024 * 1024
_MARK_MAX_BYTES = 1024 * 1024
_PARALLEL_READS = 8
_KEYS_A_DELETE = 1000
_NAMED_FILES = 3


class Repository:
    """The sets of one system. Thread-safe as its store is."""

    def __init__(self, store: BackupStore, bucket: str, system: str) -> None:
        """Name the bucket and the system's folder in it; nothing is asked yet."""
        self.store = store
        self.bucket = bucket
        self.system = system
        self.root = root_of(system)

    def folder(self, set_id: str) -> str:
        """Return the prefix of a set's objects, with its slash."""
        return folder_of(self.system, set_id)

    def sets(self) -> list[SetOnDisk]:
        """Return all sets, the newest (by sequence) first."""
        with ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="tdev-sets") as pool:
            return list(pool.map(self._look, self._newest_first()))

    def newest(self, state: State = State.PROVEN) -> SetOnDisk | None:
        """Return the newest set that has come at least so far; None when there is none."""
        return next((found for found in map(self._look, self._newest_first()) if found.reached(state)), None)

    def get(self, set_id: str) -> SetOnDisk:
        """Return one set.

        Raises:
            InputError: there is none of that name.
        """
        folder = self.folder(set_id)
        marks = {name: info for name in MARKS if (info := self.store.find(self.bucket, folder + name)) is not None}
        found = Folder(set_id, marks)
        if found.is_remnant:
            raise InputError(f"There is no set {set_id} in {self.bucket}/{self.root}; take one of `tdev backup list`.")
        return self._look(found)

    def manifest(self, set_id: str) -> Manifest:
        """Return a set's manifest.

        Raises:
            InputError: it has none.
            GarbledAnswerError: it is damaged, or that of another set.
        """
        return self._parsed(set_id, self._stored_manifest(set_id))

    def folders(self) -> Iterator[Folder]:
        """Yield the folders of all sets and remnants in the order of their names: one LIST each."""
        return walk(self.store, self.bucket, self.root)

    def begin(self, holder: str, *, full: bool, database_now: datetime) -> StagedSet:
        """Begin a set, or go on with the one that the same holder (the Airflow run) began and did not finish.

        The caller holds the system's lease. The next sequence is one above the highest in the bucket; clocks have no
        say.

        Raises:
            BusyError: somebody else began a set at the same moment; the lease does not work.
        """
        folders = sorted(self.folders(), key=lambda folder: order_of(folder.set_id), reverse=True)
        for folder in folders:
            mark = self._staged_mark(folder) if folder.is_staged else None
            if mark is not None and (mark.holder, mark.full) == (holder, full):
                return self._staged(folder.set_id, resumed=True)
        sequence = parse_set_id(folders[0].set_id).sequence + 1 if folders else 1
        set_id = make_set_id(sequence, database_now)
        mark = StagedMark(holder=holder, started_at=database_now, full=full)
        key = self.folder(set_id) + STAGED
        self.store.put(self.bucket, key, mark.model_dump_json().encode(), only_if_absent=True)
        beginning = f"{self.root}{sequence:06d}-"
        first = next(self.store.list(self.bucket, beginning), None)
        own = self.folder(set_id)
        other = first is not None and not first.key.startswith(own)
        if other or next(self.store.list(self.bucket, beginning, after=behind(self.root, set_id)), None) is not None:
            self.store.delete(self.bucket, [key])
            raise BusyError(f"Somebody else began set {sequence} of {self.system} at the same moment; try again.")
        return self._staged(set_id, resumed=False)

    def complete(self, manifest: Manifest) -> str:
        """Make a staged set COMPLETE and return its manifest's digest. Doing it again is no error.

        Raises:
            InputError: it was not begun here, or something that it names does not stand in the bucket with its size.
            BusyError: the set is complete already, with another manifest; a finished set is never changed.
            GarbledAnswerError: what was written is not what can be read.
        """
        set_id, body = manifest.set_id, manifest.to_bytes()
        key = self.folder(set_id) + MANIFEST
        if manifest.system != self.system or manifest.sequence != parse_set_id(set_id).sequence:
            raise InputError(f"The manifest of {set_id} names another system or sequence; it belongs elsewhere.")
        if self.store.find(self.bucket, key) is None:
            if self.store.find(self.bucket, self.folder(set_id) + STAGED) is None:
                raise InputError(f"The set {set_id} was not begun in {self.bucket}/{self.root}; begin it first.")
            self._refuse_gaps(manifest)
            with suppress(BusyError):  # a lost answer of our own, or somebody else's: the bytes tell
                self.store.put(self.bucket, key, body, only_if_absent=True)
        stored = self._stored_manifest(set_id)
        if stored != body:
            raise BusyError(f"The set {set_id} is complete with another manifest; a finished set is never changed.")
        return digest_of(stored)

    def attest(self, attestation: Attestation) -> None:
        """Put an attestation beside the manifest that it is bound to; a newer one replaces an older one.

        Raises:
            InputError: there is no such set, or its manifest is another one.
            GarbledAnswerError: what was written is not what can be read.
        """
        set_id = attestation.set_id
        if digest_of(self._stored_manifest(set_id)) != attestation.manifest_sha256:
            raise InputError(f"The manifest of {set_id} is not the one that was attested; look at the set again.")
        key, body = self.folder(set_id) + _FILES[attestation.kind], attestation.to_bytes()
        self.store.put(self.bucket, key, body)
        if self.store.read_whole(self.bucket, key, max_bytes=_MARK_MAX_BYTES) != body:
            raise GarbledAnswerError(f"{key} is not read as it was written; do not trust this store.")

    def withdraw(self, set_id: str) -> None:
        """Take back a set's attestations, since its bytes turned out to be damaged: it is COMPLETE again."""
        self.store.delete(self.bucket, [self.folder(set_id) + name for name in _FILES.values()])

    def clean_leftovers(
        self,
        living: Collection[str],
        *,
        grace: timedelta,
        own: str = "",
        still_ours: Callable[[], None] = lambda: None,
    ) -> Leftovers:
        """Remove what dead attempts left: open uploads, and STAGED sets older than `grace` by the store's own clock.

        `living` names sets that may be written at this moment; nothing of them is touched. `own` is the set that the
        caller is about to go on with: its dead attempt's uploads are aborted, what it stored stays.
        """
        aborted = 0
        for upload in self.store.open_uploads(self.bucket, self.root):
            name = upload.key[len(self.root) :].partition("/")[0]
            if is_set_id(name) and name not in living:
                still_ours()
                self.store.abort(self.bucket, upload)
                aborted += 1
        before = self.store.server_time() - grace
        folders = list(self.folders())
        dead = [
            folder.set_id
            for folder in folders
            if folder.is_staged
            and folder.set_id not in living
            and folder.set_id != own
            and folder.marks[STAGED].modified < before
        ]
        # Nothing should refer to what was never complete; if something does, the bytes are worth more than the space.
        needed = self._referenced(folders) if dead else frozenset[str]()
        removed, objects = [], 0
        for set_id in dead:
            if set_id not in needed:
                objects += self._remove_staged(set_id, still_ours)
                removed.append(set_id)
        return Leftovers(aborted, tuple(removed), objects)

    def _newest_first(self) -> list[Folder]:
        found = [folder for folder in self.folders() if not folder.is_remnant]
        return sorted(found, key=lambda folder: order_of(folder.set_id), reverse=True)

    def _staged(self, set_id: str, *, resumed: bool) -> StagedSet:
        return StagedSet(set_id, parse_set_id(set_id).sequence, self.folder(set_id), resumed)

    def _staged_mark(self, folder: Folder) -> StagedMark | None:
        key = self.folder(folder.set_id) + STAGED
        try:
            return StagedMark.model_validate_json(self.store.read_whole(self.bucket, key, max_bytes=_MARK_MAX_BYTES))
        except ValidationError:
            return None

    def _stored_manifest(self, set_id: str) -> bytes:
        return self.store.read_whole(self.bucket, self.folder(set_id) + MANIFEST, max_bytes=_MANIFEST_MAX_BYTES)

    def _parsed(self, set_id: str, stored: bytes) -> Manifest:
        try:
            manifest = Manifest.model_validate_json(stored)
            _ = manifest.recovery_point
        except (ValidationError, StopIteration):
            raise GarbledAnswerError(
                f"The manifest of {set_id} is damaged, or of a version that is not known here; look at it by hand."
            ) from None
        if (manifest.system, manifest.set_id, manifest.sequence) != (
            self.system,
            set_id,
            parse_set_id(set_id).sequence,
        ):
            raise GarbledAnswerError(f"The manifest in the folder of {set_id} is that of {manifest.set_id}.")
        return manifest

    def _look(self, folder: Folder) -> SetOnDisk:
        set_id = folder.set_id
        sequence = parse_set_id(set_id).sequence
        if MANIFEST not in folder.marks:
            remarks = tuple(
                f"{name} of {set_id} counts for nothing: there is no manifest."
                for name in _FILES.values()
                if name in folder.marks
            )
            return SetOnDisk(set_id, sequence, State.STAGED, remarks=remarks)
        digest = ""
        try:
            stored = self._stored_manifest(set_id)
            digest = digest_of(stored)
            manifest = self._parsed(set_id, stored)
        except (GarbledAnswerError, InputError) as error:
            remarks = (str(error),)
            return SetOnDisk(set_id, sequence, State.STAGED, has_manifest=True, manifest_sha256=digest, remarks=remarks)
        state, good, bad = State.COMPLETE, dict[str, Attestation](), list[str]()
        for kind, name in _FILES.items():
            if name not in folder.marks:
                continue
            attestation = self._attestation(set_id, name)
            if attestation is None:
                bad.append(f"{name} of {set_id} counts for nothing: it cannot be read.")
            elif (attestation.kind, attestation.set_id, attestation.manifest_sha256) != (kind, set_id, digest):
                bad.append(f"{name} of {set_id} counts for nothing: it is bound to another manifest.")
            else:
                state, good[kind] = State[kind.upper()], attestation
        return SetOnDisk(set_id, sequence, state, True, manifest, digest, good, tuple(bad))

    def _attestation(self, set_id: str, name: str) -> Attestation | None:
        try:
            return Attestation.model_validate_json(
                self.store.read_whole(self.bucket, self.folder(set_id) + name, max_bytes=_MARK_MAX_BYTES)
            )
        except (ValidationError, InputError):
            return None

    def _refuse_gaps(self, manifest: Manifest) -> None:
        folder = self.folder(manifest.set_id)
        missing = {file.key: file.size_bytes for file in files_of(manifest)}
        copies = {f"buckets/{snapshot.name}/copies/": snapshot.copies for snapshot in manifest.buckets}
        for info in self.store.list(self.bucket, folder):
            key = info.key[len(folder) :]
            if missing.get(key) == info.size_bytes:
                del missing[key]
            top, _, rest = key.partition("/copies/")
            if rest and f"{top}/copies/" in copies:
                copies[f"{top}/copies/"] -= 1
        gaps = [f"{key} of {size} bytes" for key, size in sorted(missing.items())]
        gaps += [f"{number} objects below {prefix}" for prefix, number in copies.items() if number > 0]
        if gaps:
            more = f" and {len(gaps) - _NAMED_FILES} more" if len(gaps) > _NAMED_FILES else ""
            raise InputError(
                f"The set {manifest.set_id} is not whole: {', '.join(gaps[:_NAMED_FILES])}{more} "
                "cannot be found in the bucket; take the back-up again."
            )

    def _referenced(self, folders: list[Folder]) -> frozenset[str]:
        complete = [folder.set_id for folder in folders if MANIFEST in folder.marks]
        return frozenset(
            other
            for set_id in complete
            for snapshot in self.manifest(set_id).buckets
            for other in snapshot.referenced_sets
        )

    def _remove_staged(self, set_id: str, still_ours: Callable[[], None]) -> int:
        folder, removed = self.folder(set_id), 0
        batch: list[str] = []
        for info in self.store.list(self.bucket, folder):
            if info.key == folder + STAGED:
                continue  # last, so that a half-removed set is found again
            batch.append(info.key)
            if len(batch) == _KEYS_A_DELETE:
                still_ours()
                self.store.delete(self.bucket, batch)
                removed, batch = removed + len(batch), []
        still_ours()
        self.store.delete(self.bucket, batch)
        self.store.delete(self.bucket, [folder + STAGED])
        return removed + len(batch) + 1


_FILES = {"readable": READABLE, "proven": PROVEN}

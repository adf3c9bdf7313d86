"""A snapshot of one bucket: one listing beside the previous index; what changed is stored, what did not is referred to.

Entries come out in key order and are written as they come. Objects wait in a queue for their pack to be closed or
their copy to end, so that memory is bounded by one pack and the queue, whatever the bucket holds.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tdev_operators.core.backup.buckets.index import Entry, IndexWriter, Totals, read_index, write_index
from tdev_operators.core.backup.buckets.packs import Shadows
from tdev_operators.core.backup.buckets.report import Pace, SnapshotReport, Tally
from tdev_operators.core.backup.buckets.rotation import Ages, Checker, Due, Rotation
from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.buckets.storing import Member, Outcome, Shelf
from tdev_operators.core.backup.buckets.walk import Cursor, in_key_order, pages
from tdev_operators.core.backup.cipher import Cipher, Plain
from tdev_operators.core.backup.manifest import BucketSnapshot, Manifest, StoredFile
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.verdicts import Verdict

_PAGE_OBJECTS = 2_000
_WAITING_OBJECTS = 20_000
_READERS = 4
_TICK_SECONDS = 1.0

_Waiting = deque[Entry | Member | Future[Outcome]]


def snapshot_bucket(
    store: BackupStore,
    *,
    name: str,
    bucket: str,
    target_bucket: str,
    system: str,
    set_id: str,
    previous: Manifest | None,
    settings: BackupSettings,
    cipher: Cipher,
    full: bool,
    now: datetime,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> tuple[BucketSnapshot, SnapshotReport]:
    """Take a snapshot of a bucket into the set's folder.

    Called again for the same set after a crash, it stores nothing a second time that stands there already, unless it is
    sealed. `previous` is the manifest of the set before; `full` leaves it out of account. So do other recipients than
    that set's (who can open this set must be able to open all that it refers to), which is a note in the report, and a
    previous index that cannot be read, which is a finding. `check` is called at least once a second or page and ends
    the run by raising.

    Raises:
        InputError: the bucket is gone.
        GarbledAnswerError: the store does not do what it says.
        TransientError: the store is away; try again.
    """
    run = _Run(store, name, bucket, Place(target_bucket, f"{system}/"), set_id, settings, cipher, now, progress, check)
    return run.take(None if full else previous)


@dataclass(slots=True)
class _Run:
    store: BackupStore
    name: str
    bucket: str
    place: Place
    set_id: str
    settings: BackupSettings
    cipher: Cipher
    now: datetime
    progress: Callable[[str], None]
    check: Callable[[], None]
    tally: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)
    sets: set[str] = field(default_factory=set)
    _oldest: datetime = field(init=False)
    _pace: Pace = field(init=False)
    _done: int = 0

    def take(self, previous: Manifest | None) -> tuple[BucketSnapshot, SnapshotReport]:
        requests = dict(self.store.requests)
        self._oldest = self.now
        self._pace = Pace(self.progress, f"bucket {self.bucket}")
        before, rotation = self._before(previous)
        previous_id = previous.set_id if previous and before else ""
        self._pace.expected = before.objects if before else 0
        cursor = Cursor(self._previous(previous_id, before) if before else ())
        shelf = Shelf(
            self.store,
            self.bucket,
            self.place,
            self.set_id,
            self.name,
            self.settings,
            self.cipher,
            self.now,
            self.tally,
        )
        with shelf, ThreadPoolExecutor(_READERS, thread_name_prefix="tdev-rotation") as readers:
            index, marks, totals = self._written(self._entries(shelf, cursor, rotation, readers))
        self.tally.count(deleted=cursor.passed)
        if before:
            self._judge_deletions(before, totals, cursor.passed, previous_id)
        figures = self.tally.figures
        snapshot = BucketSnapshot(
            name=self.name,
            bucket=self.bucket,
            taken_at=self.now,
            objects=totals.objects,
            bytes=totals.size_bytes,
            index=index,
            marks=marks,
            packs=tuple(shelf.packs),
            copies=figures["copied"] + figures["streamed"],
            copied_bytes=figures["copied_bytes"] + figures["streamed_bytes"],
            referenced_sets=tuple(sorted(self.sets - {self.set_id})),
            changed_during_run=figures["changed"] + figures["vanished"],
        )
        made = {kind: count - requests.get(kind, 0) for kind, count in self.store.requests.items()}
        return snapshot, self._report(snapshot, {kind: count for kind, count in made.items() if count})

    def _before(self, previous: Manifest | None) -> tuple[BucketSnapshot | None, Rotation | None]:
        """Return what this run may refer to, and what of it is read again: the previous index is read whole."""
        before = next((b for b in previous.buckets if b.name == self.name), None) if previous else None
        if previous is None or before is None:
            return None, None
        recipients = self.settings.age_recipients if self.cipher.suffix else ()
        if set(previous.recipients) != set(recipients):
            self.notes.append(
                f"Everything was stored anew, because the set {previous.set_id} was encrypted to other recipients."
            )
            return None, None
        ages = Ages(self.now)
        try:
            for entry in self._previous(previous.set_id, before):
                ages.add(entry)
        except (GarbledAnswerError, InputError) as error:
            self.tally.found(
                Verdict.CRITICAL,
                f"Everything was stored anew, because the set {previous.set_id} cannot be referred to: {error}",
            )
            return None, None
        return before, ages.plan(before.taken_at, self.settings)

    def _previous(self, previous_id: str, before: BucketSnapshot) -> Iterator[Entry]:
        stored = before.marks or before.index
        if not stored.key.endswith(".zst"):
            raise GarbledAnswerError(f"its index of {self.name} is sealed and has no marks beside it.")
        return read_index(self.store, self.place.bucket, self.place.folder_of(previous_id), stored, Plain())

    def _written(self, entries: Iterator[Entry]) -> tuple[StoredFile, StoredFile | None, Totals]:
        folder, home = self.place.folder_of(self.set_id), f"buckets/{self.name}/"
        level = self.settings.compression_level

        def write(entries: Iterator[Entry]) -> tuple[StoredFile, Totals]:
            key = f"{home}index.jsonl.zst"
            return write_index(self.store, self.place.bucket, folder, key, entries, level=level, cipher=self.cipher)

        if not self.cipher.suffix:
            index, totals = write(entries)
            return index, None, totals
        with ExitStack() as stack:
            key = f"{home}marks.jsonl.zst"
            upload = stack.enter_context(self.store.upload(self.place.bucket, folder + key))
            writer = IndexWriter(upload.write, level=level)
            index, totals = write(_noting(entries, writer))
            marks = writer.close(key)
            upload.complete()
        return index, marks, totals

    def _entries(
        self, shelf: Shelf, cursor: Cursor, rotation: Rotation | None, readers: ThreadPoolExecutor
    ) -> Iterator[Entry]:
        shadows = Shadows(self.cipher.suffix)
        checker = Checker(self.store, self.bucket, self.place, self.cipher, self.now, readers)
        waiting = _Waiting()
        for page in pages(in_key_order(self.store.list(self.bucket), self.bucket), _PAGE_OBJECTS):
            self.check()
            known = self._known(page, cursor, rotation, checker)
            waiting.extend(self._stored(page, known, shelf, shadows))
            full = len(waiting) > _WAITING_OBJECTS
            if full:
                shelf.close_pack()
            yield from self._ready(waiting, patient=full)
        shelf.close_pack()
        yield from self._ready(waiting, patient=True)
        cursor.finish()
        shelf.settle()

    def _known(
        self, page: list[ObjectInfo], cursor: Cursor, rotation: Rotation | None, checker: Checker
    ) -> list[Entry | None]:
        """Return the earlier entry of each object that did not change; None for what is to be stored."""
        known: list[Entry | None] = []
        due: list[tuple[Entry, Due]] = []
        for number, info in enumerate(page):
            entry = cursor.seek(info)
            if entry is not None:
                # Under marks the entry has no ETag of its own; the listing's is as good.
                entry = entry._replace(etag=info.etag)
                if rotation and rotation.due(entry):
                    due.append((entry, Due(number, info)))
            known.append(entry)
        for number, entry in checker.check(due, self.tally):
            known[number] = entry
        return known

    def _stored(
        self, page: list[ObjectInfo], known: list[Entry | None], shelf: Shelf, shadows: Shadows
    ) -> "Iterator[Entry | Member | Future[Outcome]]":
        """Yield one item for each object of a page, in order; what changed is stored on the way."""
        limit = self.settings.small_object_kb * 1024
        small = [info for info, entry in zip(page, known, strict=True) if entry is None and info.size_bytes <= limit]
        bodies = self.store.read_many(self.bucket, small) if small else iter(())
        for info, entry in zip(page, known, strict=True):
            shadowed = shadows.over(info.key)
            if entry is not None:
                self.tally.count(unchanged=1)
                yield entry
            elif info.size_bytes > limit:
                yield shelf.whole(info)
            else:
                found, body = next(bodies)
                item = shelf.pack(info, found, body, shadowed=shadowed)
                if item is not None:
                    yield item

    def _ready(self, waiting: _Waiting, *, patient: bool) -> Iterator[Entry]:
        while waiting:
            first = waiting[0]
            entry: Entry | None
            if isinstance(first, Future):
                while patient and not first.done():
                    wait([first], _TICK_SECONDS)
                    self.check()
                    self._pace.reached(self._done)
                if not first.done():
                    return
                entry, tally = first.result()
                self.tally.add(tally)
            elif isinstance(first, Member):
                if first.entry is None:
                    return
                entry = first.entry
            else:
                entry = first
            waiting.popleft()
            if entry is not None:
                self._done += 1
                self._pace.reached(self._done)
                self.sets.add(entry.set_id)
                self._oldest = min(self._oldest, entry.verified_at)
                yield entry

    def _judge_deletions(self, before: BucketSnapshot, totals: Totals, deleted: int, previous_id: str) -> None:
        """Tell people of what may be an accident, or a listing that ends too early; both look the same from here."""
        if deleted * 2 <= before.objects:
            return
        what = "is empty" if not totals.objects else f"has lost {deleted:,} objects"
        self.tally.found(
            Verdict.WARNING,
            f"The bucket {self.bucket} {what} and held {before.objects:,} objects in the set {previous_id}; "
            "earlier sets still hold them.",
        )

    def _report(self, snapshot: BucketSnapshot, requests: dict[str, int]) -> SnapshotReport:
        figures = self.tally.figures
        if figures["streamed"]:
            self.notes.append("Large objects were streamed through this worker, because sets are encrypted.")
        names = (
            *("unchanged", "packed", "packed_bytes", "packs", "copied", "copied_bytes", "streamed", "streamed_bytes"),
            *("reused", "deleted", "changed", "vanished", "unreadable", "resampled", "resampled_bytes", "live_looks"),
            "mismatches",
        )
        return SnapshotReport(
            name=self.name,
            objects=snapshot.objects,
            bytes=snapshot.bytes,
            oldest_verified_days=max(0.0, (self.now - self._oldest) / timedelta(days=1)),
            requests=requests,
            seconds=time.monotonic() - self._pace.started,
            findings=tuple(self.tally.findings),
            notes=tuple(self.notes),
            **{name: figures[name] for name in names},
        )


def _noting(entries: Iterator[Entry], writer: IndexWriter) -> Iterator[Entry]:
    for entry in entries:
        writer.add(entry.marked())
        yield entry

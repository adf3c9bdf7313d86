"""Objects out of a snapshot: one by one, a sample to prove, and every byte that a set wrote."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from tdev_operators.core.backup.buckets.index import Entry, read_index
from tdev_operators.core.backup.buckets.report import Pace
from tdev_operators.core.backup.buckets.stored import Place, Sums, wrong_with
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import BucketSnapshot, Manifest
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.proof.prove import BucketsProof
from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, ProofFailedError
from tdev_operators.core.reporting.wording import counted

_PARALLEL = 4
_WAITING = 16
_TICK_SECONDS = 1.0
_TOLD = 20

T = TypeVar("T")
Work = TypeVar("Work")


def entries_in(
    store: BackupStore, place: Place, set_id: str, snapshot: BucketSnapshot, cipher: Cipher
) -> Iterator[Entry]:
    """Stream the entries of a set's snapshot, in key order."""
    return read_index(store, place.bucket, place.folder_of(set_id), snapshot.index, cipher)


def read_object(store: BackupStore, place: Place, entry: Entry, cipher: Cipher) -> Iterator[bytes]:
    """Stream one object of a snapshot, as it was in its bucket.

    Raises:
        ProofFailedError: what is stored is not what was written. Known only at the end of the stream.
        AccessDeniedError: it is what was written, and no identity fits.
    """

    def stored() -> Iterator[bytes]:
        key, start = place.key_of(entry), entry.offset or 0
        return store.read(place.bucket, key, start=start, length=entry.length) if entry.length else iter(())

    sums = Sums()
    size = 0
    try:
        for chunk in cipher.open(sums.of(stored())) if entry.length else ():
            size += len(chunk)
            yield chunk
    except AccessDeniedError:
        sums = Sums().take(stored())  # damage looks like another's key to age
        if not wrong_with(entry, sums):
            raise
    if wrong := wrong_with(entry, sums):
        raise ProofFailedError(f"The stored bytes of {entry.key!r}, written by the set {entry.set_id}, {wrong}.")
    if size != entry.size_bytes:
        raise ProofFailedError(
            f"The object {entry.key!r} of the set {entry.set_id} opens to {size} bytes instead of {entry.size_bytes}."
        )


def verify_written(
    store: BackupStore,
    bucket: str,
    system: str,
    set_id: str,
    snapshot: BucketSnapshot,
    cipher: Cipher,
    *,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Mapping[str, int]:
    """Read every copy that this set wrote and hold it against its index. Packs are read by the manifest.

    A copy that was never read, and whose ETag is no MD5, is compared with the live object as long as that has the same
    ETag; when it no longer has, the copy is counted in `copies_without_checksum`: only its length is known to hold.

    Raises:
        ProofFailedError: one is gone or changed; it is named. Or the index tells of another number than the manifest.
    """
    place, pace = Place(bucket, f"{system}/"), Pace(progress, f"copies of {snapshot.name}", expected=snapshot.copies)
    read = size = unknown = 0

    def one(entry: Entry) -> tuple[int, bool]:
        try:
            sums = Sums().take(store.read(bucket, place.key_of(entry)))
        except InputError:
            raise ProofFailedError(f"The copy of {entry.key!r} in the set {set_id} is gone.") from None
        if wrong := wrong_with(entry, sums):
            raise ProofFailedError(f"The stored bytes of {entry.key!r} in the set {set_id} {wrong}.")
        if entry.sha256 or entry.etag_is_md5:
            return sums.size_bytes, True
        live = _live_sha256(store, snapshot.bucket, entry)
        if live and live != sums.sha256:
            raise ProofFailedError(
                f"The stored bytes of {entry.key!r} in the set {set_id} differ from the live object, whose ETag is the "
                "same."
            )
        return sums.size_bytes, bool(live)

    try:
        entries = entries_in(store, place, set_id, snapshot, cipher)
        own = (entry for entry in entries if entry.set_id == set_id and not entry.packed)
        for length, vouched in side_by_side(one, own, check):
            read, size, unknown = read + 1, size + length, unknown + (not vouched)
            pace.reached(read)
    except GarbledAnswerError as error:
        raise ProofFailedError(str(error)) from None
    if read != snapshot.copies:
        raise ProofFailedError(
            f"The index of {snapshot.name} in {set_id} names {read} copies; its manifest tells of {snapshot.copies}."
        )
    return {"copies": read, "copied_bytes": size, "copies_without_checksum": unknown}


def restore_sample(
    store: BackupStore,
    bucket: str,
    system: str,
    manifest: Manifest,
    cipher: Cipher,
    *,
    sample_percent: float,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> BucketsProof:
    """Restore a sample of every snapshot to a scratch prefix and hold what arrives against the index; it is removed.

    The sample is another one for each set: of all objects `sample_percent`, at least one, chosen by their keys.
    """
    place = Place(bucket, f"{system}/")
    scratch = f"{system}/scratch/{manifest.set_id}/"
    differences: list[str] = []
    objects = size = 0
    try:
        for snapshot in manifest.buckets:
            chosen = _chosen(
                entries_in(store, place, manifest.set_id, snapshot, cipher), manifest.set_id, snapshot, sample_percent
            )
            pace = Pace(progress, f"sample of {snapshot.name}")

            def one(entry: Entry) -> int | str:
                try:
                    return _restored(store, place, entry, cipher, scratch)
                except (ProofFailedError, InputError, GarbledAnswerError) as error:
                    return str(error)

            for outcome in side_by_side(one, chosen, check):
                if isinstance(outcome, int):
                    size += outcome
                else:
                    differences.append(f"{snapshot.name}: {outcome}")
                objects += 1
                pace.reached(objects)
    finally:
        store.delete(bucket, [info.key for info in store.list(bucket, scratch)])
    more = [f"And {counted(len(differences) - _TOLD, 'more difference')}."] if len(differences) > _TOLD else []
    return BucketsProof((*differences[:_TOLD], *more), {"sampled_objects": objects, "sampled_bytes": size})


def _restored(store: BackupStore, place: Place, entry: Entry, cipher: Cipher, scratch: str) -> int:
    key = scratch + hashlib.sha256(entry.key.encode("utf-8", "surrogatepass")).hexdigest()
    sent = Sums()
    with store.upload(place.bucket, key) as upload:
        for chunk in sent.of(read_object(store, place, entry, cipher)):
            upload.write(chunk)
        upload.complete()
    arrived = Sums().take(store.read(place.bucket, key))
    if (arrived.size_bytes, arrived.sha256) != (sent.size_bytes, sent.sha256):
        raise ProofFailedError(
            f"The object {entry.key!r} was restored and is not what was sent; do not trust this store."
        )
    if entry.etag_is_md5 and entry.etag != sent.md5:
        raise ProofFailedError(f"The object {entry.key!r} is not the one whose ETag the source had.")
    return sent.size_bytes


def _chosen(entries: Iterator[Entry], salt: str, snapshot: BucketSnapshot, sample_percent: float) -> Iterator[Entry]:
    first = True
    for entry in entries:
        dice = int.from_bytes(
            hashlib.blake2b(f"{salt}\0{entry.key}".encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big"
        )
        if dice < sample_percent / 100 * 2**32 or (first and snapshot.objects):
            yield entry
        first = False


def _live_sha256(store: BackupStore, bucket: str, entry: Entry) -> str:
    """Return the digest of the live object; nothing when it is not the one of the entry any more, or not to be read."""

    def still() -> bool:
        now = store.find(bucket, entry.key)
        return now is not None and (now.etag, now.size_bytes) == (entry.etag, entry.size_bytes)

    try:
        sums = Sums().take(store.read(bucket, entry.key)) if still() else None
        return sums.sha256 if sums and still() else ""
    except (InputError, AccessDeniedError):
        return ""


def side_by_side(work: Callable[[Work], T], items: Iterable[Work], check: Callable[[], None]) -> Iterator[T]:
    """Yield what `work` returns for each item, in order; few wait at a time, and a failure ends them."""
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="tdev-snapshot-read")

    def oldest() -> T:
        while not wait([waiting[0]], _TICK_SECONDS).done:
            check()
        return waiting.popleft().result()

    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _WAITING:
                check()
                yield oldest()
        while waiting:
            yield oldest()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

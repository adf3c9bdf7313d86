"""Restoring a bucket: first what would change, then that and nothing else (guide: Backup Restoration).

The snapshot's index and the live listing are read side by side in key order, so that a million keys take no memory.
Nothing newer than the snapshot is overwritten and nothing is removed unless that was asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import NamedTuple

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.buckets.read import entries_in, read_object, side_by_side
from tdev_operators.core.backup.buckets.report import Pace
from tdev_operators.core.backup.buckets.stored import Place, Span, Sums, spans, wrong_with
from tdev_operators.core.backup.buckets.walk import in_key_order
from tdev_operators.core.backup.manifest import BucketSnapshot, Manifest
from tdev_operators.core.errors import InputError, ProofFailedError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.reporting.wording import counted

_BATCH = 512
_KEYS_A_DELETE = 1000
_EXAMPLES = 5


class Difference(StrEnum):
    """How a live object stands to its snapshot."""

    MISSING = "missing"  # it is in the snapshot only
    CHANGED = "changed"  # the live one is another, and not newer than the snapshot
    NEWER = "newer"  # the live one is another, written after the snapshot
    SURPLUS = "surplus"  # it is in the live bucket only


class Found(NamedTuple):
    """One difference: `entry` is in the snapshot, `live` in the bucket."""

    kind: Difference
    key: str
    entry: Entry | None
    live: ObjectInfo | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a snapshot is restored to: a bucket, and a prefix in it (a scratch place) or none (the live bucket).

    `overwrite_newer` and `remove_surplus` are what a person asked for beyond what is missing or changed. `through_us`:
    every byte is read and its checksum held, instead of having large objects copied on the store's side.
    """

    bucket: str
    prefix: str = ""
    overwrite_newer: bool = False
    remove_surplus: bool = False
    through_us: bool = False

    def restores(self, kind: Difference) -> bool:
        """Whether such an object is written."""
        return kind in (Difference.MISSING, Difference.CHANGED) or (kind is Difference.NEWER and self.overwrite_newer)


@dataclass(slots=True)
class BucketPlan:
    """What a restore would do to one bucket: numbers, bytes to write, and the first few keys of each kind."""

    name: str
    target: Target
    same: int = 0
    counts: dict[Difference, int] = field(default_factory=lambda: dict.fromkeys(Difference, 0))
    examples: dict[Difference, list[str]] = field(default_factory=lambda: {kind: [] for kind in Difference})
    bytes_to_write: int = 0

    def add(self, found: Found) -> None:
        """Count one difference."""
        self.counts[found.kind] += 1
        if len(self.examples[found.kind]) < _EXAMPLES:
            self.examples[found.kind].append(found.key)
        if found.entry is not None and self.target.restores(found.kind):
            self.bytes_to_write += found.entry.size_bytes

    @property
    def to_write(self) -> int:
        """How many objects would be written."""
        return sum(number for kind, number in self.counts.items() if self.target.restores(kind))

    @property
    def to_remove(self) -> int:
        """How many objects would be removed."""
        return self.counts[Difference.SURPLUS] if self.target.remove_surplus else 0

    def to_text(self) -> str:
        """Return the plan for people."""
        where = f"{self.target.bucket}/{self.target.prefix}"
        to_write = f"{counted(self.to_write, 'object')} ({self.bytes_to_write / 1e6:,.1f} MB) to write"
        lines = [f"{self.name} -> {where}: {to_write}, {self.to_remove} to remove, {self.same} are as they were"]
        for kind, number in self.counts.items():
            if number:
                fate = "written" if self.target.restores(kind) else "kept"
                if kind is Difference.SURPLUS:
                    fate = "removed" if self.target.remove_surplus else "kept"
                more = ", ..." if number > _EXAMPLES else ""
                lines.append(f"  {number:>8,} {kind}: {fate} ({', '.join(map(repr, self.examples[kind]))}{more})")
        return "\n".join(lines)


@dataclass(slots=True)
class BucketRestored:
    """What was done to one bucket."""

    name: str
    bucket: str
    written: int = 0
    written_bytes: int = 0
    removed: int = 0
    kept: int = 0
    damaged: list[str] = field(default_factory=list)


def snapshot_of(manifest: Manifest, name: str) -> BucketSnapshot:
    """Return a bucket's snapshot in a set.

    Raises:
        InputError: the set has none of that name.
    """
    found = next((one for one in manifest.buckets if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in manifest.buckets) or "none"
        raise InputError(f"The set {manifest.set_id} has no bucket {name!r}; choose from: {names}.")
    return found


def plan_bucket(
    ports: RecoveryPorts,
    place: Place,
    manifest: Manifest,
    name: str,
    target: Target,
    *,
    check: Callable[[], None] = lambda: None,
) -> BucketPlan:
    """Say what a restore would do; nothing is written.

    Raises:
        InputError: there is no such snapshot or no such bucket (make it first).
        TransientError: the store is away.
    """
    snapshot = snapshot_of(manifest, name)
    plan = BucketPlan(name, target)
    for found in _differences(ports, place, manifest.set_id, snapshot, target):
        if found is None:
            plan.same += 1
            if plan.same % _BATCH == 0:
                check()
        else:
            plan.add(found)
    return plan


def restore_bucket(
    ports: RecoveryPorts,
    place: Place,
    manifest: Manifest,
    name: str,
    target: Target,
    *,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> BucketRestored:
    """Write what is missing or changed, and do what `target` asks beyond that. Done again, it does nothing.

    An object whose stored bytes are damaged is left out and named in `damaged`; everything else is restored.

    Raises:
        InputError: there is no such snapshot or no such bucket.
        AccessDeniedError: no identity fits, or the bucket may not be written.
        TransientError: the store is away; try again.
    """
    done = BucketRestored(name, target.bucket)
    pace = Pace(progress, f"restore of {name}")
    differences = _differences(ports, place, manifest.set_id, snapshot_of(manifest, name), target)
    entries = _to_write(differences, ports, target, done)

    def gathered() -> Iterator[Span[None]]:
        while batch := list(islice(entries, _BATCH)):
            yield from spans((entry, None) for entry in batch)

    for outcomes in side_by_side(lambda span: _write_span(ports, place, span, target), gathered(), check):
        for size, damage in outcomes:
            if damage:
                done.damaged.append(damage)
            else:
                done.written += 1
                done.written_bytes += size
        pace.reached(done.written)
    return done


def _to_write(
    differences: Iterator[Found | None], ports: RecoveryPorts, target: Target, done: BucketRestored
) -> Iterator[Entry]:
    """Yield what is to be written, remove what is to be removed, count what is kept."""
    surplus: list[str] = []
    for found in differences:
        if found is None:
            continue
        if found.entry is not None and target.restores(found.kind):
            yield found.entry
        elif found.kind is Difference.SURPLUS and target.remove_surplus:
            surplus.append(found.key)
            if len(surplus) == _KEYS_A_DELETE:
                _remove(ports, target, surplus, done)
        else:
            done.kept += 1
    _remove(ports, target, surplus, done)


def _differences(
    ports: RecoveryPorts, place: Place, set_id: str, snapshot: BucketSnapshot, target: Target
) -> Iterator[Found | None]:
    """Yield how the live bucket differs from a snapshot, in key order; None for each object that is the same."""
    entries = entries_in(ports.store, place, set_id, snapshot, ports.cipher)
    listing = in_key_order(ports.store.list(target.bucket, target.prefix), target.bucket)
    cut = len(target.prefix)
    entry, live = next(entries, None), next(listing, None)
    while entry is not None or live is not None:
        key = live.key[cut:] if live is not None else ""
        if entry is not None and (live is None or entry.key < key):
            yield Found(Difference.MISSING, entry.key, entry, None)
            entry = next(entries, None)
        elif live is not None and (entry is None or key < entry.key):
            yield Found(Difference.SURPLUS, key, None, live)
            live = next(listing, None)
        elif entry is not None and live is not None:
            if _is_same(ports, target, entry, live):
                yield None
            else:
                is_newer = live.modified > snapshot.taken_at
                yield Found(Difference.NEWER if is_newer else Difference.CHANGED, key, entry, live)
            entry, live = next(entries, None), next(listing, None)


def _is_same(ports: RecoveryPorts, target: Target, entry: Entry, live: ObjectInfo) -> bool:
    """Whether the live object has the snapshot's content: by its ETag; by reading it where that cannot tell.

    An object that was uploaded in parts has another ETag when it comes back in one.
    """
    if entry.size_bytes != live.size_bytes:
        return False
    if entry.etag == live.etag:
        return bool(entry.etag)
    if ports.cipher.suffix or not entry.sha256 or ("-" not in entry.etag + live.etag):
        return False
    try:
        return Sums().take(ports.store.read(target.bucket, live.key)).sha256 == entry.sha256
    except InputError:  # it went meanwhile
        return False


def _write_span(ports: RecoveryPorts, place: Place, span: Span[None], target: Target) -> list[tuple[int, str]]:
    """Write the objects of one span; return for each its bytes, and a sentence when its stored bytes are damaged."""
    if not span.first.packed:
        return [_told(entry, partial(_write_large, ports, place, entry, target)) for entry, _ in span.members]
    try:
        members = list(span.read(ports.store, place))
    except InputError as error:
        return [(0, f"{entry.key!r}: {error}") for entry, _ in span.members]
    return [_told(entry, partial(_write_small, ports, entry, stored, target)) for entry, _, stored in members]


def _told(entry: Entry, write: Callable[[], None]) -> tuple[int, str]:
    try:
        write()
    except ProofFailedError as error:
        return 0, str(error)
    return entry.size_bytes, ""


def _write_small(ports: RecoveryPorts, entry: Entry, stored: bytes, target: Target) -> None:
    sums = Sums().take([stored])
    if wrong := wrong_with(entry, sums):
        raise ProofFailedError(f"The stored bytes of {entry.key!r}, written by the set {entry.set_id}, {wrong}.")
    body = b"".join(ports.cipher.open([stored])) if entry.length else b""
    ports.store.put(target.bucket, target.prefix + entry.key, body)


def _write_large(ports: RecoveryPorts, place: Place, entry: Entry, target: Target) -> None:
    """Copy on the store's side what is plain and has the source's ETag still; else stream it through us, compared."""
    key = target.prefix + entry.key
    source = None if ports.cipher.suffix or target.through_us else ports.store.find(place.bucket, place.key_of(entry))
    if source is not None and (source.etag, source.size_bytes) == (entry.etag, entry.size_bytes):
        ports.store.copy(place.bucket, source, target.bucket, key)
        return
    with ports.store.upload(target.bucket, key) as upload:
        for chunk in read_object(ports.store, place, entry, ports.cipher):
            upload.write(chunk)
        upload.complete()


def _remove(ports: RecoveryPorts, target: Target, keys: list[str], done: BucketRestored) -> None:
    if keys:
        ports.store.delete(target.bucket, [target.prefix + key for key in keys])
        done.removed += len(keys)
        keys.clear()

"""Storing what changed: small objects in packs; large ones copied by the store, or sealed on their way through us.

What was written or deleted since the listing is looked at again: what is stored is one whole state of the object, and
what could not be stored although it is there is a finding.
"""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.buckets.packs import Pack
from tdev_operators.core.backup.buckets.report import Tally
from tdev_operators.core.backup.buckets.stored import Place, Sums, looks_like_md5
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.backup.streams import Digest
from tdev_operators.core.errors import InputError, TdevError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.verdicts import Verdict

_COPIES_AT_ONCE = 8
_PACKS_AT_ONCE = 2
_TRIES_OF_A_MOVING_OBJECT = 3
_MIB = 1024 * 1024


@dataclass(slots=True)
class Member:
    """A place in a pack; `entry` comes when the pack is closed."""

    info: ObjectInfo
    sha256: str
    offset: int
    length: int
    etag_is_md5: bool
    entry: Entry | None = None


class Outcome(NamedTuple):
    """What became of a large object: its entry, None when it is not in the set, and what there is to count and say."""

    entry: Entry | None
    tally: Tally


@dataclass(slots=True)
class Shelf:
    """Where a run puts what changed. A context manager: what still waits when the block is left is given up.

    `tally` and `packs` belong to the thread that calls; copies come back with figures of their own.
    """

    store: BackupStore
    bucket: str
    place: Place
    set_id: str
    name: str
    settings: BackupSettings
    cipher: Cipher
    now: datetime
    tally: Tally
    packs: list[StoredFile] = field(default_factory=list)
    _members: list[Member] = field(default_factory=list)
    _uploads: deque[Future[None]] = field(default_factory=deque)
    _pack: Pack = field(init=False)
    _resumed: bool = field(init=False)
    _copiers: ThreadPoolExecutor = field(init=False)
    _packers: ThreadPoolExecutor = field(init=False)

    def __enter__(self) -> Self:
        self._pack = self._new_pack()
        # Only a dead attempt at this set has left anything here. What was sealed is other bytes each time.
        home = f"{self.place.folder_of(self.set_id)}buckets/{self.name}/"
        self._resumed = not self.cipher.suffix and any(True for _ in self.store.list(self.place.bucket, home))
        self._copiers = ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="tdev-copies")
        self._packers = ThreadPoolExecutor(_PACKS_AT_ONCE, thread_name_prefix="tdev-packs")
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._copiers, self._packers):
            pool.shutdown(wait=True, cancel_futures=True)

    def whole(self, info: ObjectInfo) -> Future[Outcome]:
        """Store a large object, in the background."""
        return self._copiers.submit(self._whole, info)

    def pack(
        self, wanted: ObjectInfo, found: ObjectInfo, body: bytes | TdevError, *, shadowed: bool
    ) -> Member | Future[Outcome] | None:
        """Put a small object that was read into the open pack; return None when it is gone.

        Raises:
            TdevError: it could not be read, for a reason that lies with the store.
        """
        for _ in range(_TRIES_OF_A_MOVING_OBJECT):
            if not isinstance(body, InputError):
                break
            again = self._listed(wanted.key)
            if again is None:
                self.tally.count(vanished=1)
                return None
            if again.size_bytes > self.settings.small_object_kb * 1024:
                self.tally.count(changed=1)
                return self.whole(again)
            ((found, body),) = self.store.read_many(self.bucket, [again])
        if isinstance(body, InputError):
            self._lost(wanted, self.tally)
            return None
        if isinstance(body, TdevError):
            raise body
        if (found.etag, found.size_bytes) != (wanted.etag, wanted.size_bytes):
            self.tally.count(changed=1)
        return self._add(found, body, shadowed=shadowed)

    def close_pack(self) -> None:
        """End the open pack and send it; its members have their entries now."""
        if not self._members:
            return
        sha256, content = self._pack.close()
        at = f"buckets/{self.name}/packs/{sha256}.tar"
        for member in self._members:
            entry = self._entry(member.info, member.sha256, at, member.offset, member.length)
            member.entry = entry._replace(etag_is_md5=member.etag_is_md5)
        self.packs.append(StoredFile(key=at, size_bytes=len(content), sha256=sha256))
        self._members, self._pack = [], self._new_pack()
        key = self.place.folder_of(self.set_id) + at
        if self._standing(key, len(content)):
            self.tally.count(reused=1)
            return
        while len(self._uploads) >= _PACKS_AT_ONCE:
            self._uploads.popleft().result()
        self._uploads.append(self._packers.submit(self._upload, key, content))
        self.tally.count(packs=1)

    def settle(self) -> None:
        """Wait until every pack is stored.

        Raises:
            TdevError: one could not be.
        """
        while self._uploads:
            self._uploads.popleft().result()

    def _add(self, found: ObjectInfo, body: bytes, *, shadowed: bool) -> Member:
        sealed = b"".join(self.cipher.seal([body]))
        if not self._pack.fits(len(sealed)):
            self.close_pack()
        offset = self._pack.add(
            found.key, sealed, modified=found.modified, suffix=self.cipher.suffix, shadowed=shadowed
        )
        is_md5 = hashlib.md5(body, usedforsecurity=False).hexdigest() == found.etag
        member = Member(found, hashlib.sha256(sealed).hexdigest(), offset, len(sealed), is_md5)
        self._members.append(member)
        self.tally.count(packed=1, packed_bytes=len(body))
        return member

    def _upload(self, key: str, content: bytes) -> None:
        with self.store.upload(self.place.bucket, key) as upload:
            upload.write(content)
            upload.complete()

    def _whole(self, info: ObjectInfo) -> Outcome:
        tally = Tally()
        for _ in range(_TRIES_OF_A_MOVING_OBJECT):
            try:
                return Outcome(self._sealed(info, tally) if self.cipher.suffix else self._copied(info, tally), tally)
            except InputError:
                found = self._listed(info.key)
                if found is None:
                    tally.count(vanished=1)
                    return Outcome(None, tally)
                if (found.etag, found.size_bytes) == (info.etag, info.size_bytes):
                    if self.store.find(self.bucket, info.key) is not None:
                        raise  # nothing is wrong with the object
                    self._lost(info, tally)
                    return Outcome(None, tally)
                tally.count(changed=1)
                info = found
        tally.count(unreadable=1)
        tally.found(
            Verdict.WARNING,
            f"The object {info.key!r} in {self.bucket} changes faster than it can be copied; it is not in this set.",
            info.key,
        )
        return Outcome(None, tally)

    def _copied(self, info: ObjectInfo, tally: Tally) -> Entry:
        at = self._at(info)
        key = self.place.folder_of(self.set_id) + at
        copy = self._standing(key, info.size_bytes)
        if copy is not None:
            tally.count(reused=1)
        else:
            copy = self.store.copy(self.bucket, info, self.place.bucket, key)
        tally.count(copied=1, copied_bytes=info.size_bytes)
        # Two objects have the same ETag of this form only when it is the MD5 of both.
        is_md5 = copy.etag == info.etag and looks_like_md5(info.etag)
        return self._entry(info, "", at, None, info.size_bytes)._replace(etag_is_md5=is_md5)

    def _sealed(self, info: ObjectInfo, tally: Tally) -> Entry:
        at = self._at(info) + self.cipher.suffix
        stored, plain = Digest(), Sums()
        with self.store.upload(self.place.bucket, self.place.folder_of(self.set_id) + at) as upload:
            for chunk in stored.of(self.cipher.seal(plain.of(self.store.read(self.bucket, info.key)))):
                upload.write(chunk)
            if plain.md5 != info.etag:
                found = self.store.find(self.bucket, info.key)
                if found is None or found.etag != info.etag or plain.size_bytes != info.size_bytes:
                    raise InputError(f"The object {info.key!r} in {self.bucket} was overwritten while it was read.")
            upload.complete()
        tally.count(streamed=1, streamed_bytes=info.size_bytes)
        entry = self._entry(info, stored.sha256, at, None, stored.size_bytes)
        return entry._replace(etag_is_md5=plain.md5 == info.etag)

    def _lost(self, info: ObjectInfo, tally: Tally) -> None:
        tally.count(unreadable=1)
        tally.found(
            Verdict.CRITICAL,
            f"The object {info.key!r} is listed in {self.bucket} and cannot be read there; it is not in this set.",
            info.key,
        )

    def _listed(self, key: str) -> ObjectInfo | None:
        # Not `find`: a store whose listing names what it cannot give answers 404 to that as well.
        first = next(iter(self.store.list(self.bucket, key)), None)
        return first if first is not None and first.key == key else None

    def _standing(self, key: str, size_bytes: int) -> ObjectInfo | None:
        found = self.store.find(self.place.bucket, key) if self._resumed else None
        return found if found is not None and found.size_bytes == size_bytes else None

    def _at(self, info: ObjectInfo) -> str:
        name = hashlib.sha256(f"{info.key}\0{info.etag}".encode("utf-8", "surrogatepass")).hexdigest()
        return f"buckets/{self.name}/copies/{name}"

    def _entry(self, info: ObjectInfo, sha256: str, at: str, offset: int | None, length: int) -> Entry:
        return Entry(
            info.key, info.size_bytes, info.etag, info.modified, sha256, self.set_id, at, offset, length, self.now
        )

    def _new_pack(self) -> Pack:
        return Pack(self.settings.pack_mb * _MIB)

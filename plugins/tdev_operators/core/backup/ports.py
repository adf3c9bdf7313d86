"""What back-ups need from the world: an object store that can copy and take large objects, and database sessions.

Hooks implement these protocols (`hooks.backup_store`, `hooks.postgres_sessions`); the rules in this folder use nothing
else. Every method may raise a TdevError of the kinds that `core.ports.ObjectStore` and `core.ports.Database` name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from psycopg.sql import Composed

from tdev_operators.core.errors import TdevError
from tdev_operators.core.ports import ObjectInfo


class Upload(Protocol):
    """One object on its way. Leaving the block without `complete()` aborts it: nothing is stored then."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; parts are sent in the background, and this waits while too many are under way."""

    def end(self) -> None:
        """Say that nothing more is written: what is left is sent, so that no memory is held until `complete()`."""

    def complete(self) -> ObjectInfo:
        """Send what is left, make the object visible, and verify it by its size."""


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that nobody completed or aborted."""

    key: str
    upload_id: str
    initiated: datetime


@dataclass(frozen=True, slots=True)
class Protection:
    """What guards the backups bucket. `None`: the store cannot tell.

    `expiring_rules` are the lifecycle rules (their ids) that would expire objects below our prefix.
    """

    versioning: bool | None
    object_lock: bool | None
    expiring_rules: tuple[str, ...] | None
    conditional_writes: bool


@dataclass(frozen=True, slots=True)
class LockRule:
    """How a bucket with Object Lock locks what is written: `mode` is GOVERNANCE or COMPLIANCE."""

    mode: str
    days: int


class BackupStore(Protocol):
    """An S3-compatible store as back-ups use it. Thread-safe. Believes no status: every write is verified by effect."""

    @property
    def requests(self) -> Mapping[str, int]:
        """How many requests were made so far, by kind: LIST, GET, HEAD, PUT, COPY, DELETE, part uploads as PUT."""

    def list(self, bucket: str, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix in key order (UTF-8 bytes), page by page, from behind the key `after` on."""

    def find(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return an object's facts; None when there is none."""

    def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Stream an object, or a range of it. A missing object is an InputError. Ends early never: raises instead."""

    def read_whole(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """Return a small object. A larger one, or none, is an InputError."""

    def read_many(self, bucket: str, wanted: Iterable[ObjectInfo]) -> Iterator[tuple[ObjectInfo, bytes | TdevError]]:
        """Read small objects concurrently, in the order of `wanted`; what cannot be read comes with its error.

        The ObjectInfo that comes back is what the store said when it was read: another ETag than the one wanted means
        that the object changed meanwhile. Concurrency adapts to throttling; memory is bounded.
        """

    def put(self, bucket: str, key: str, body: bytes, *, only_if_absent: bool = False) -> ObjectInfo:
        """Store a small object. With `only_if_absent`, an existing one is a BusyError where the store can tell."""

    def upload(self, bucket: str, key: str) -> AbstractContextManager[Upload]:
        """Begin a large object of unknown size; the part size grows so that 10,000 parts are never met."""

    def copy(self, source_bucket: str, source: ObjectInfo, bucket: str, key: str) -> ObjectInfo:
        """Copy on the server's side, without download, by multipart copy above 5 GB; verified by size (and ETag).

        Raises:
            InputError: the source is gone or is no longer the one of `source.etag`.
            GarbledAnswerError: the store says that it copied, and did not, in every way that we know.
        """

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects, a thousand a request; what is not there is no error. What remains all the same is one."""

    def open_uploads(self, bucket: str, prefix: str) -> Iterator[OpenUpload]:
        """Yield the multipart uploads below a prefix that were neither completed nor aborted."""

    def abort(self, bucket: str, upload: OpenUpload) -> None:
        """Abort one; one that is gone is no error."""

    def protection(self, bucket: str, prefix: str) -> Protection:
        """Look at what guards the bucket. Conditional writes are probed by effect, once, below the prefix."""

    def lock_rule(self, bucket: str) -> LockRule | None:
        """Return the default retention of a bucket with Object Lock; None where there is none."""

    def extend_locks(self, bucket: str, keys: Iterable[str], mode: str, until: datetime) -> int:
        """Lock objects until then, concurrently; return how many were not locked as long before."""

    def server_time(self) -> datetime:
        """Return the store's own clock (its Date header), UTC."""


class Session(Protocol):
    """One database connection that lives as long as its block, in autocommit until it says BEGIN."""

    @property
    def pid(self) -> int:
        """The backend's process id."""

    def rows(self, statement: str | Composed, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""

    def touched(self, statement: str | Composed, params: Mapping[str, Any] | None = None) -> int:
        """Run one statement that changes rows and return how many it changed."""

    def set_password(self, role: str, password: str) -> None:
        """Give a role a password; what is sent, and may be logged, is its SCRAM verifier."""


class SourceDatabase(Protocol):
    """A PostgreSQL database that is dumped, or restored into."""

    @property
    def name(self) -> str:
        """The database's name; never a DSN."""

    def session(self, *, application_name: str = "tdev-backup") -> AbstractContextManager[Session]:
        """Open a session without statement, lock or idle time limits of the server's; Ctrl-C and kill end it."""

    def environment(self) -> AbstractContextManager[Mapping[str, str]]:
        """Return libpq's variables for client programs (PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE...).

        The password stands in a PGPASSFILE of mode 0600 that goes with the block.
        """

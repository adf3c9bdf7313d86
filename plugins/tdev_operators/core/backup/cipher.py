"""Client-side encryption of what a set stores, by age: the bucket's owner cannot read it.

Recipients (public keys) stand in the settings. The identity (the private key) is needed for proof and restore only;
whoever loses it has lost the sets.
"""

import contextlib
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Protocol

import pyrage

from tdev_operators.core.errors import AccessDeniedError, InputError, SettingsError

SUFFIX = ".age"

_QUEUED_CHUNKS = 8
_TICK_SECONDS = 0.1


class Cipher(Protocol):
    """What stands between a set's plain content and what is stored."""

    @property
    def suffix(self) -> str:
        """What the keys of sealed objects end in: `.age`, or nothing."""

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what is stored for a plain stream."""

    def open(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the plain stream of what was stored.

        Raises:
            AccessDeniedError: no identity, or not one of the recipients'. Also when the stored bytes were changed.
        """


class Plain:
    """No encryption: what is stored is what was given."""

    suffix = ""

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """See `Cipher.seal`."""
        yield from chunks

    def open(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """See `Cipher.open`."""
        yield from chunks


class Age:
    """Encryption to age recipients; opening needs `identities`, the text of an age identity file."""

    suffix = SUFFIX

    def __init__(self, recipients: Iterable[str] = (), identities: str = "") -> None:
        """Read the keys.

        Raises:
            SettingsError: a recipient is no age public key.
            InputError: an identity is no age private key; it is not quoted.
        """
        try:
            self._recipients = [pyrage.x25519.Recipient.from_str(text.strip()) for text in recipients]
        except pyrage.RecipientError:
            raise SettingsError(
                "backup.age_recipients: one of them is no age public key; write keys that begin with age1."
            ) from None
        lines = [line.strip() for line in identities.splitlines()]
        try:
            self._identities = [
                pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")
            ]
        except pyrage.IdentityError:
            raise InputError(
                "The age identity cannot be read; give the lines that begin with AGE-SECRET-KEY-1."
            ) from None

    def __repr__(self) -> str:
        return f"Age({len(self._recipients)} recipients, {len(self._identities)} identities)"

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """See `Cipher.seal`."""
        return _through(chunks, lambda source, sink: pyrage.encrypt_io(source, sink, self._recipients))

    def open(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """See `Cipher.open`."""
        if not self._identities:
            raise AccessDeniedError(
                "The set is encrypted and there is no age identity; give it in the connection tdev_age."
            )
        try:
            yield from _through(chunks, lambda source, sink: pyrage.decrypt_io(source, sink, self._identities))
        except (pyrage.DecryptError, _VendorError):
            raise AccessDeniedError(
                "The set cannot be decrypted: none of our age identities is a recipient's, or what was stored changed."
            ) from None


def cipher_of(recipients: Iterable[str], identities: str = "") -> Cipher:
    """Return the cipher for these recipients (none: `Plain`)."""
    listed = list(recipients)
    return Age(listed, identities) if listed or identities else Plain()


class _Abandoned(Exception):  # noqa: N818  never seen by anybody: it ends the worker thread of a stream nobody reads on
    pass


class _VendorError(Exception):
    """The library failed while it read or wrote, and not because the source failed."""


class _Source:
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                chunk = next(self._chunks, None)
            except BaseException as error:  # the library makes an OSError of its own of it
                self.error = error
                raise
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)


class _Sink:
    def __init__(self, queue: "Queue[bytes | BaseException | None]", abandoned: Event) -> None:
        self._queue = queue
        self._abandoned = abandoned

    def write(self, chunk: bytes) -> int:
        self.put(bytes(chunk))
        return len(chunk)

    def flush(self) -> None:
        """Nothing waits here."""

    def put(self, item: bytes | BaseException | None) -> None:
        while not self._abandoned.is_set():
            try:
                return self._queue.put(item, timeout=_TICK_SECONDS)
            except Full:
                continue
        raise _Abandoned


def _through(chunks: Iterable[bytes], work: "_Work") -> Iterator[bytes]:
    """Run a library that reads from one file and writes to another as a generator, in a thread of its own."""
    queue: Queue[bytes | BaseException | None] = Queue(_QUEUED_CHUNKS)
    abandoned = Event()
    sink = _Sink(queue, abandoned)

    def body() -> None:
        source = _Source(chunks)
        outcome: BaseException | None = None
        try:
            work(source, sink)
        except OSError as error:
            outcome = source.error or _VendorError(str(error))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the reader's thread
            outcome = source.error or error
        with contextlib.suppress(_Abandoned):
            sink.put(outcome)

    thread = Thread(target=body, name="tdev-age", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = queue.get(timeout=_TICK_SECONDS)
            except Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()


class _Work(Protocol):
    def __call__(self, source: _Source, sink: _Sink) -> object: ...

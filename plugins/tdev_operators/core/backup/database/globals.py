"""Roles, their memberships and settings, and tablespaces: what `pg_dump` leaves out, by `pg_dumpall --globals-only`."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Empty, Full, Queue

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.database.complaints import OUTPUT_LIMIT_BYTES, failure
from tdev_operators.core.backup.database.tools import tool
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.backup.streams import SUFFIX, Digest, compressed
from tdev_operators.core.commands import Running, running
from tdev_operators.core.errors import GarbledAnswerError, TargetTimeoutError

GLOBALS = f"database/globals.sql{SUFFIX}"

_TRAILER = b"-- PostgreSQL database cluster dump complete"
# Current minor versions end in `\unrestrict` and a key, behind the trailer.
_END_BYTES = 4096
_TICK_SECONDS = 0.2
_QUEUED_CHUNKS = 64


def dump_globals(
    source: SourceDatabase,
    store: BackupStore,
    bucket: str,
    prefix: str,
    settings: BackupSettings,
    cipher: Cipher,
    *,
    major: int,
    name: str = "globals",
    check: Callable[[], None] = lambda: None,
    timeout_seconds: float = 600.0,
) -> StoredFile:
    """Store the server's globals as `<prefix>database/<name>.sql.zst`; without passwords unless the settings ask.

    Raises:
        SetupMissingError: no client programs of the server's major version.
        AccessDeniedError: a privilege is missing; names the object.
        TransientError: connection lost, program killed, time over, store away.
        GarbledAnswerError: the program ended well and its output is not whole.
    """
    pg_dumpall = tool("pg_dumpall", major, settings.client_tools)
    key = f"database/{name}.sql{SUFFIX}{cipher.suffix}"
    digest = Digest()
    with ExitStack() as stack:
        env = stack.enter_context(source.environment())
        upload = stack.enter_context(store.upload(bucket, f"{prefix}{key}"))
        quoted = source.name.replace("\\", r"\\").replace("'", r"\'")
        argv = [str(pg_dumpall), "--globals-only", f"--database=dbname='{quoted}'", "--no-password"]
        if not settings.role_passwords:
            argv.append("--no-role-passwords")
        output = _Output(check, timeout_seconds)
        command = stack.enter_context(
            running(argv, env=env, on_stdout=output.take, output_limit_bytes=OUTPUT_LIMIT_BYTES)
        )
        chunks = output.chunks(command)
        for chunk in digest.of(cipher.seal(compressed(chunks, settings.compression_level))):
            upload.write(chunk)
        secrets = [env[name] for name in ("PGPASSWORD",) if name in env]
        if error := failure("pg_dumpall", source.name, command.wait(_TICK_SECONDS), command.stderr, secrets):
            raise error
        if _TRAILER not in output.end:
            raise GarbledAnswerError("pg_dumpall ended well in the middle of its output; dump the globals again.")
        check()
        upload.complete()
    return StoredFile(key=key, size_bytes=digest.size_bytes, sha256=digest.sha256)


class _Output:
    """What a command prints, as a stream for the caller's thread; `end` is the last of it."""

    def __init__(self, check: Callable[[], None], timeout_seconds: float) -> None:
        self.end = b""
        self._check, self._seconds = check, timeout_seconds
        self._queue: Queue[bytes] = Queue(_QUEUED_CHUNKS)
        self._deadline = time.monotonic() + timeout_seconds

    def take(self, chunk: bytes) -> None:
        while True:
            try:
                return self._queue.put(chunk, timeout=_TICK_SECONDS)
            except Full:
                self._refuse_lateness()

    def chunks(self, command: Running) -> Iterator[bytes]:
        while True:
            ended = command.poll() is not None  # looked at before the queue: nothing comes after this
            try:
                chunk = self._queue.get(timeout=0 if ended else _TICK_SECONDS)
            except Empty:
                if ended:
                    return
                self._check()
                self._refuse_lateness()
                continue
            self.end = (self.end + chunk)[-_END_BYTES:]
            yield chunk

    def _refuse_lateness(self) -> None:
        if time.monotonic() > self._deadline:
            raise TargetTimeoutError(
                f"pg_dumpall did not end within {self._seconds:g} s; see what the server and the object store wait for."
            )

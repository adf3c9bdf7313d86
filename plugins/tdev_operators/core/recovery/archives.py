"""The guide's old archives, `YYYYMMDD.tar.gz` and `backup-YYYYMMDD.tar.gz`: plain SQL and the objects, in one file.

They are read as a stream, and are believed nothing: SQL stops at its first error, must end with pg_dump's last line,
and may hold no command of psql's. They hold no proof of their source: what comes of them never becomes live by itself.
"""

import re
import secrets
import tarfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from tdev_operators.core.backup.database.tools import tool
from tdev_operators.core.backup.ports import BackupStore, Session
from tdev_operators.core.backup.proof.restore import conninfo
from tdev_operators.core.backup.proof.scratch import Needs, creating
from tdev_operators.core.commands import MIB, running
from tdev_operators.core.errors import InputError, ProofFailedError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.recovery.buckets import BucketRestored
from tdev_operators.core.recovery.database import MARK, RestoredDatabase, dropped_if_ours
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.recovery.request import RestoreRequest
from tdev_operators.core.settings import Settings

_NAME = re.compile(r"(?:backup-)?(\d{8})\.tar\.gz", re.ASCII)
_SQL = "database.sql"
_TRAILER = b"-- PostgreSQL database dump complete"
_TRAILER_WITHIN = 4096  # bytes of the end
_COPY = re.compile(rb"COPY .* FROM stdin;")
_END_OF_COPY = b"\\."
_RESTRICTIONS = (b"\\restrict ", b"\\unrestrict ")
_LONGEST_HELD = MIB
_SMALL = 8 * MIB
_GZIP_WINDOW = 31
_LIMIT_SECONDS = 6 * 3600.0
NO_PROOF = "it is an archive of the guide's script, which holds no proof of its source"
# What an archive says nothing of: the database's encoding and locale are those that hold any text and sort by bytes.
_ANY_TEXT = Needs("UTF8", "libc", "C", "C")


def is_archive(text: str) -> bool:
    """Whether a text names an archive of the guide's script and no set."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive in the backups bucket."""

    bucket: str
    info: ObjectInfo

    @property
    def day(self) -> datetime:
        """The day of its name; nobody knows the hour."""
        found = _NAME.fullmatch(self.info.key)
        return datetime.strptime(found[1] if found else "", "%Y%m%d").replace(tzinfo=UTC)


def find_archive(store: BackupStore, bucket: str, name: str) -> Archive:
    """Return the archive of this name.

    Raises:
        InputError: there is none; it names those that there are.
    """
    info = store.find(bucket, name)
    if info is None or not is_archive(name):
        there = [one.key for one in store.list(bucket) if is_archive(one.key)]
        raise InputError(f"There is no archive {name}; choose from: {', '.join(there[-5:]) or 'none'}.")
    return Archive(bucket, info)


def refuse_archive_in_place(request: RestoreRequest) -> None:
    """Refuse to put an archive in the place of anything that lives.

    Raises:
        InputError: it says where it may go.
    """
    if request.replaces_live:
        raise InputError(
            f"{request.which} holds no proof, so that it does not take the live database's place; restore it beside, "
            "look at it, and exchange the names by hand (docs/restore.md)."
        )
    if request.tables:
        raise InputError(f"{request.which} is plain SQL: all of its tables or none; restore it and copy the rows.")
    if request.buckets and request.buckets_into != "scratch":
        raise InputError(
            f"Objects of {request.which} go into a scratch place, from where you copy them; choose «scratch»."
        )


def restore_archive(
    ports: RecoveryPorts,
    settings: Settings,
    archive: Archive,
    journal: Journal,
    *,
    name: str = "",
    buckets: dict[str, str],
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> tuple[RestoredDatabase | None, list[BucketRestored]]:
    """Read the archive once: SQL into a new database (empty `name`: not), objects below the prefixes of `buckets`.

    Raises:
        InputError: the name is taken.
        ProofFailedError: the archive is damaged or cut off, or its SQL is not what pg_dump writes.
        TransientError: the store or the server is away; try again: it begins anew.
    """
    return _Reading(ports, settings, archive, journal, name, buckets, progress, check).run()


class _Reading:
    def __init__(
        self,
        ports: RecoveryPorts,
        settings: Settings,
        archive: Archive,
        journal: Journal,
        name: str,
        buckets: dict[str, str],
        progress: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._ports, self._settings, self._archive, self._journal = ports, settings, archive, journal
        self._name, self._prefixes, self._progress, self._check = name, buckets, progress, check
        self._restored: RestoredDatabase | None = None
        self._done = {bucket: BucketRestored(bucket, archive.bucket) for bucket in buckets}

    def run(self) -> tuple[RestoredDatabase | None, list[BucketRestored]]:
        key = self._archive.info.key
        stream = _Unzipped(self._ports.store.read(self._archive.bucket, key))
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=MIB) as members:  # type: ignore[call-overload]
                for member in members:
                    self._check()
                    self._take(members, member)
            stream.finish()
        except (tarfile.TarError, zlib.error, EOFError) as error:
            self._drop()
            raise ProofFailedError(f"{key} is damaged or cut off ({error}); take another day's archive.") from None
        if self._name and self._restored is None:
            raise ProofFailedError(
                f"{key} holds no {_SQL}: it is none of the guide's script. One of `tdev backup export` has a README."
            )
        if self._restored:
            self._journal.note(f"database {self._name}", "done", **self._restored.facts())
        return self._restored, list(self._done.values())

    def _take(self, members: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = PurePosixPath(member.name).parts
        if not member.isfile():
            return
        content = members.extractfile(member)
        chunks = iter(lambda: content.read(MIB) if content else b"", b"")
        if parts[-1] == _SQL and not set(parts) & self._prefixes.keys():
            if self._name:
                self._restored = self._database(chunks, member.size)
            return
        bucket = next((part for part in parts if part in self._prefixes), "")
        if bucket:
            self._object(bucket, "/".join(parts[parts.index(bucket) + 1 :]), member.size, chunks)

    def _object(self, bucket: str, key: str, size: int, chunks: Iterator[bytes]) -> None:
        store, target = self._ports.store, self._prefixes[bucket] + key
        if size <= _SMALL:
            store.put(self._archive.bucket, target, b"".join(chunks))
        else:
            with store.upload(self._archive.bucket, target) as upload:
                for chunk in chunks:
                    self._check()
                    upload.write(chunk)
                upload.complete()
        self._done[bucket].written += 1
        self._done[bucket].written_bytes += size

    def _database(self, chunks: Iterator[bytes], size: int) -> RestoredDatabase:
        begun, key = time.monotonic(), self._archive.info.key
        with self._ports.session() as session:
            major = int(session.rows("SHOW server_version_num")[0]["server_version_num"]) // 10_000
            oid = self._create(session)
        self._progress(f"{self._name}: restoring {size / 1e6:,.0f} MB of SQL")
        psql = tool("psql", major, self._settings.backup.client_tools)
        target = self._ports.server(self._name)
        end = bytearray()
        argv = [str(psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={conninfo(self._name)}"]
        sent = restricted(_remembered(chunks, end, self._check))
        with target.environment() as env, running(argv, env=env, stdin=sent, on_stdout=lambda _: None) as command:
            status = command.wait(_LIMIT_SECONDS)
            complaints = [line.strip() for line in command.stderr.splitlines() if line.strip()]
            complaint = next((line for line in complaints if "error" in line.lower()), (complaints or [""])[0])
        if status != 0:
            self._drop()
            raise ProofFailedError(f"The SQL of {key} cannot be restored: {complaint or f'psql ended with {status}'}.")
        if _TRAILER not in end:
            self._drop()
            raise ProofFailedError(f"The SQL of {key} does not end with pg_dump's last line: the dump was cut off.")
        with target.session() as session:
            session.rows("ANALYZE")
            tables = session.rows("SELECT count(*) AS tables FROM pg_catalog.pg_stat_user_tables")[0]["tables"]
        return RestoredDatabase(
            self._name, "", key, oid, {"restore": round(time.monotonic() - begun, 3)}, tables, unprovable=NO_PROOF
        )

    def _create(self, session: Session) -> int:
        dropped_if_ours(session, self._name, self._journal.recovery_id, self._progress)
        self._journal.note(f"database {self._name}", "intended", set_id=self._archive.info.key, tables=[])
        mark = f"{MARK} {self._journal.recovery_id} {self._archive.info.key} NOT proven"
        for statement in creating(self._name, _ANY_TEXT, mark):
            session.rows(statement)
        row = session.rows(
            "SELECT oid::bigint AS oid FROM pg_catalog.pg_database WHERE datname = %(name)s", {"name": self._name}
        )
        return int(row[0]["oid"])

    def _drop(self) -> None:
        if self._name:
            with self._ports.session() as session:
                dropped_if_ours(session, self._name, self._journal.recovery_id, self._progress)


def restricted(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield SQL for psql under its own guard: any command of psql's in it ends the restore.

    The guard is psql's `\restrict` (in every minor release since August 2025; older ones stop at it). A dump's own
    guards are left out, since theirs would close ours.
    """
    yield b"\\restrict " + secrets.token_hex(24).encode() + b"\n"
    in_copy = continued = False
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        kept = []
        for line in lines:
            if continued:
                continued = False
            elif in_copy:
                in_copy = line.rstrip(b"\r") != _END_OF_COPY
            elif line.startswith(_RESTRICTIONS):
                continue
            else:
                in_copy = _COPY.fullmatch(line.rstrip(b"\r")) is not None
            kept.append(line + b"\n")
        if len(rest) >= _LONGEST_HELD:  # a row of many megabytes is not held
            kept.append(rest)
            rest, continued = b"", True
        yield b"".join(kept)
    if rest:
        yield rest


def _remembered(chunks: Iterable[bytes], end: bytearray, check: Callable[[], None]) -> Iterator[bytes]:
    """Yield the chunks, and keep what came last; `check` may end it."""
    for chunk in chunks:
        check()
        end += chunk[-_TRAILER_WITHIN:]
        del end[:-_TRAILER_WITHIN]
        yield chunk


class _Unzipped:
    """What is read of a gzip stream; raises EOFError when it ends too early, or holds something behind its end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._gzip = chunks, zlib.decompressobj(_GZIP_WINDOW)
        self._rest = b""

    def read(self, size: int) -> bytes:
        while not self._rest and not self._gzip.eof:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise EOFError("its gzip stream has no end")
            self._rest = self._gzip.decompress(chunk)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def finish(self) -> None:
        """Read what is left, so that gzip's checksum is held against everything."""
        while self.read(MIB):
            pass

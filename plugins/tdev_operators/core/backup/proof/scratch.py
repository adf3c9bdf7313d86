"""Disposable PostgreSQL servers: one of our own from the client tools' binaries, or a lent one that proves itself."""

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from psycopg.sql import SQL, Composed, Identifier, Literal

from tdev_operators.core.backup.database.catalogue import Catalogue, abilities, unprovable
from tdev_operators.core.backup.database.names import commenting
from tdev_operators.core.backup.manifest import DatabaseDump
from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.backup.proof.programs import UNPRIVILEGED_USER, reachable
from tdev_operators.core.commands import Running, running
from tdev_operators.core.errors import CommandFailedError, InputError, PermanentError, TargetTimeoutError, TdevError
from tdev_operators.core.private_folders import private_folder
from tdev_operators.core.sql import load_sql

SCRATCH_COMMENT = "tdev_scratch"
DATABASE_PREFIX = "tdev_scratch_"

_SOCKET_PORT = 5432  # part of the socket's file name only: no port is opened
_LONGEST_SOCKET_FOLDER = 90  # bytes; the kernel takes 107 for the whole path
_READY_SECONDS = 60.0
_INITDB_SECONDS = 120.0
_STOP_SECONDS = 5.0
_CHECKSUMS_SINCE = 18

# Its data may be lost in a power cut: it is thrown away anyhow. wal_level minimal lets COPY into a new table skip WAL.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "bgwriter_lru_maxpages": "0",
    "wal_init_zero": "off",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "60",
    "max_locks_per_transaction": "2048",  # the proof's snapshot holds a lock on every table
    "dynamic_shared_memory_type": "mmap",  # files below the data folder, so that nothing stays behind in /dev/shm
    "log_min_messages": "fatal",
    "timezone": "UTC",
}


_PROVIDERS = {
    "icu": SQL("LOCALE_PROVIDER icu ICU_LOCALE {}"),
    "builtin": SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}"),
}


class Connect(Protocol):
    """Makes a database handle; `hooks` give it. A host that begins with a slash is a socket's folder."""

    def __call__(self, *, host: str, port: int, user: str, password: str, dbname: str) -> SourceDatabase:
        """Return the handle; nothing is opened yet."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a database is created with. `provider` is libc, icu or builtin; `locale` is of the latter two."""

    encoding: str
    provider: str
    collation: str
    character_type: str
    locale: str = ""

    @classmethod
    def of_dump(cls, dump: DatabaseDump) -> "Needs":
        """Return what a dump in a set needs."""
        return cls(
            dump.encoding,
            dump.locale_provider,
            dump.collation,
            dump.character_type or dump.collation,
            dump.locale or dump.collation,
        )


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """A disposable server. Thread-safe: it holds no connection."""

    open_database: Callable[[str], SourceDatabase]

    @property
    def admin(self) -> SourceDatabase:
        """The database `postgres`, for what concerns the whole server."""
        return self.open_database("postgres")

    @contextmanager
    def database(self, needs: Needs) -> Iterator[SourceDatabase]:
        """Create an empty database with a random name, and drop it at the end.

        Raises:
            InputError: this server has not the encoding or the locale.
        """
        name = DATABASE_PREFIX + secrets.token_hex(6)
        create, comment = creating(name, needs, SCRATCH_COMMENT)
        with self.admin.session() as session:
            session.rows(create)
            session.rows(comment)
        try:
            yield self.open_database(name)
        finally:
            with contextlib.suppress(TdevError), self.admin.session() as session:
                session.rows(_dropping(name))


def provable(catalogue: Catalogue, server: ScratchServer) -> list[str]:
    """Return why a database cannot be proven on this server, a sentence a reason; none: it can.

    What the server says of itself is held against the catalogue; then a database is made and dropped, because only the
    operating system knows which locales it has.
    """
    with server.admin.session() as session:
        reasons = unprovable(catalogue, abilities(session))
        if any(column.base == "xml" for relation in catalogue.relations for column in relation.columns):
            reasons += _without_xml(session)
    if reasons:
        return reasons
    try:
        with server.database(
            Needs(
                catalogue.encoding,
                catalogue.locale_provider,
                catalogue.collation,
                catalogue.character_type,
                catalogue.locale,
            )
        ):
            return []
    except PermanentError as error:
        return [f"unprovable: needs a database in {catalogue.encoding} and {catalogue.locale}; {error}"]


def _without_xml(session: Session) -> list[str]:
    try:
        session.rows("SELECT '<a/>'::pg_catalog.xml")
    except PermanentError:
        return ["unprovable: needs libxml; give it a scratch server that was built with it."]
    return []


@contextmanager
def scratch_server(
    major: int, tools: Callable[[str], Path], connect: Connect, *, superuser: str = "postgres"
) -> Iterator[ScratchServer]:
    """Run a PostgreSQL of our own in a private folder; it and its folder go with the block, or with our process.

    `tools` names the program of this major version (`postgres`, `initdb`). There is no port: its one way in is a
    socket in a folder that only we and its user can enter, so it asks for no password, and a restored role can
    neither lock us out nor let others in. `superuser` is best named as the source's first superuser is, so that
    the globals' GRANTED BY hold.

    Raises:
        InputError: the binaries cannot be run by the unprivileged user, or TMPDIR is too long for a socket.
        CommandFailedError, TargetTimeoutError: it does not start.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        if len(os.fsencode(folder)) > _LONGEST_SOCKET_FOLDER:
            raise InputError(f"The folder {folder} is too long for a socket; set TMPDIR to a shorter one.")
        if os.geteuid() == 0:
            folder.chmod(0o700)
            shutil.chown(folder, UNPRIVILEGED_USER)
        binaries = reachable(tools("postgres").parent, stack)
        data = folder / "data"
        _initdb(binaries, folder, data, superuser, major)
        settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        argv = [str(binaries / "postgres"), "-D", str(data)]
        with running(argv, env={}, user=UNPRIVILEGED_USER, cwd=str(folder)) as server:
            _await_ready(server, data, major)
            try:
                yield ScratchServer(
                    lambda name: connect(host=str(folder), port=_SOCKET_PORT, user=superuser, password="", dbname=name)
                )
            finally:
                _stop(server)


@contextmanager
def lent_server(
    open_database: Callable[[str], SourceDatabase], source_identifiers: set[str]
) -> Iterator[ScratchServer]:
    """Use a configured server, once it has proven that it is disposable; leftovers of dead proofs go first.

    Raises:
        InputError: it is the source itself, a standby, or holds a database that nobody marked as scratch.
    """
    server = ScratchServer(open_database)
    with server.admin.session() as session:
        identity = session.rows(load_sql("backup/scratch_identity"))[0]
        databases = session.rows(load_sql("backup/scratch_databases"))
        if identity["system_identifier"] in source_identifiers:
            raise InputError("The scratch server is the source itself; name another server in backup.scratch.")
        if identity["in_recovery"]:
            raise InputError("The scratch server is a standby; name a server of its own in backup.scratch.")
        if foreign := [row["name"] for row in databases if row["comment"] != SCRATCH_COMMENT]:
            raise InputError(
                f"The scratch server holds the database {foreign[0]}, so it is not disposable; name another server in "
                f"backup.scratch, or say COMMENT ON DATABASE ... IS '{SCRATCH_COMMENT}'."
            )
        for row in databases:
            if row["name"].startswith(DATABASE_PREFIX) and not row["sessions"]:
                session.rows(_dropping(row["name"]))
    yield server


def creating(name: str, needs: Needs, mark: str) -> tuple[Composed, Composed]:
    """Return the statements that make an empty database and mark it by a comment."""
    create = SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} ").format(
        Identifier(name), Literal(needs.encoding), Literal(needs.collation), Literal(needs.character_type)
    )
    provider = _PROVIDERS.get(needs.provider, SQL("LOCALE_PROVIDER libc")).format(Literal(needs.locale))
    comment = commenting(name, mark)
    return create + provider, comment


def _dropping(name: str) -> Composed:
    return SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name))


def _initdb(binaries: Path, folder: Path, data: Path, superuser: str, major: int) -> None:
    argv = [
        str(binaries / "initdb"),
        *("--pgdata", str(data), "--username", superuser, "--auth", "trust"),
        *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        # what is thrown away needs no checksums of pages; from 18 on they are the default
        *(("--no-data-checksums",) if major >= _CHECKSUMS_SINCE else ()),
    ]
    with running(argv, env={}, user=UNPRIVILEGED_USER, cwd=str(folder)) as made:
        if made.wait(_INITDB_SECONDS) != 0:
            raise CommandFailedError(f"initdb of the scratch server failed: {_last_line(made.stderr)}")


def _await_ready(server: Running, data: Path, major: int) -> None:
    """Wait until the server says in its own file that it takes connections, as pg_ctl does."""
    deadline = time.monotonic() + _READY_SECONDS
    state = data / "postmaster.pid"
    while True:
        with contextlib.suppress(FileNotFoundError, IndexError):
            if state.read_text(encoding="utf-8").splitlines()[7].strip() == "ready":
                return
        if server.poll() is not None:
            raise CommandFailedError(
                f"The scratch server (PostgreSQL {major}) ended before it was ready: {_last_line(server.stderr)}"
            )
        if time.monotonic() > deadline:
            raise TargetTimeoutError(f"The scratch server was not ready within {_READY_SECONDS:g} s; see its disk.")
        time.sleep(0.02)


def _stop(server: Running) -> None:
    """Shut down at once, without a checkpoint, so that no segment and no backend stays."""
    with contextlib.suppress(ProcessLookupError):
        if server.poll() is None:
            os.kill(server.pid, signal.SIGQUIT)
    with contextlib.suppress(TdevError):
        server.wait(_STOP_SECONDS)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"

"""PostgreSQL sessions that last as long as a back-up: no time limit of the server's, and no waiting for a dead one."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import psycopg
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composed, Identifier, Literal

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    DiskFullError,
    GarbledAnswerError,
    InputError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.private_folders import private_folder
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres import hanging_up, login_refusals, open_connection

_CONNECT_SECONDS = 10.0
# A statement may take hours. Each time it has been silent for so long, we ask whether the server still lets us in.
_SILENCE_SECONDS = 30.0
_TRANSACTION_TIMEOUT_SINCE = 170_000
# The startup packet's word goes before what ALTER ROLE and ALTER DATABASE have set.
_NO_LIMITS = " ".join(
    f"-c {name}=0"
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")
)
# Of the connection's extra fields, what libpq reads for its client programs too.
_SERVICE_KEYS = (
    *("sslmode", "sslrootcert", "sslcrl", "sslcert", "sslkey", "sslpassword"),
    *("channel_binding", "gssencmode", "target_session_attrs"),
)
# As `open_connection` has them, so that pg_dump notices a dead peer in bounded time too.
_KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
_SERVICE = "tdev"


class PostgresSource:
    """Implements `backup.ports.SourceDatabase`. `dbname` names another database on the connection's server."""

    def __init__(
        self,
        facts: ConnectionFacts,
        dbname: str = "",
        *,
        connect_timeout_seconds: float = _CONNECT_SECONDS,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        """Take the connection; `silence_seconds` is how long a statement may say nothing before we look after it."""
        self._connect_seconds = connect_timeout_seconds
        self._facts = replace(facts, schema=dbname or facts.schema or "postgres")
        self._silence_seconds = silence_seconds

    def __repr__(self) -> str:
        return f"PostgresSource({self._facts!r})"

    @property
    def name(self) -> str:
        """The database's name."""
        return self._facts.schema

    @contextmanager
    def session(self, *, application_name: str = "tdev-backup") -> Iterator[Session]:
        """See `SourceDatabase.session`.

        Raises:
            TargetUnreachableError, TargetTimeoutError, AccessDeniedError, BusyError, InputError, GarbledAnswerError,
            SetupMissingError.
        """
        connection = self._connect(application_name)
        try:
            yield PostgresSession(connection, self)
        finally:
            connection.close()

    @contextmanager
    def environment(self) -> Iterator[Mapping[str, str]]:
        """See `SourceDatabase.environment`. Settings without a variable of their own stand in a PGSERVICEFILE."""
        facts = self._facts
        with private_folder() as folder:
            variables = {
                "PGHOST": facts.host,
                "PGPORT": str(facts.port or 5432),
                "PGUSER": facts.login,
                "PGDATABASE": self.name,
                "PGCONNECT_TIMEOUT": f"{max(2, math.ceil(self._connect_seconds))}",
                "PGSERVICE": _SERVICE,
                "PGSERVICEFILE": _written(folder, "service", self._service_file()),
            }
            if facts.password:
                # Any host and user: they are given above, and libpq looks a socket's folder up under another name.
                password = facts.password.replace("\\", "\\\\").replace(":", "\\:")
                variables["PGPASSFILE"] = _written(folder, "password", f"*:*:*:*:{password}\n")
            yield variables

    def lets_us_in(self) -> bool:
        """Whether the server answers a login; one that is full answers too."""
        try:
            self._connect("tdev-backup-probe").close()
        except BusyError:
            return True
        except TdevError:
            return False
        return True

    def translated(self, error: psycopg.Error, statement: str) -> TdevError:
        """Say in our words why a statement failed."""
        state, said = error.sqlstate or "", self._facts.scrub(_line(error.diag.message_primary or str(error)))
        what = f"The database {self.name}, asked for {_title(statement)},"
        if not state and not isinstance(error, psycopg.OperationalError):
            return InputError(f"{what} was asked wrongly ({said}); mend the statement or its binds.")
        match state[:2], state:
            case _, "57014":
                return TargetTimeoutError(f"{what} was cancelled ({said}); see who cancelled it, and try again.")
            case ("40", _) | (_, "55P03" | "55006"):
                return BusyError(f"{what} ran into a lock of somebody else ({said}); see who holds it, and try again.")
            case _, "53200":
                return BusyError(f"{what} is out of memory ({said}); raise max_locks_per_transaction or free memory.")
            case _, "53100":
                return DiskFullError(f"{what} found the disk full ({said}); free some, and try again.")
            case "53", _:
                return BusyError(f"{what} is short of a resource ({said}); free some, and try again.")
            case ("28", _) | (_, "42501"):
                return AccessDeniedError(
                    f"{what} refused the user {self._facts.login} ({said}); grant it what a whole pg_dump needs."
                )
            case "XX" | "58", _:
                return GarbledAnswerError(f"{what} reports a fault inside ({said}, {state}); look into its log.")
            case ("", _) | ("57" | "08" | "25", _) if state != "25006":
                return TargetUnreachableError(f"{what} broke the connection off ({said}); see whether it runs.")
            case _:
                return InputError(f"{what} refused the statement ({said}, SQLSTATE {state}); mend it.")

    @property
    def silence_seconds(self) -> float:
        """After how many seconds of silence `lets_us_in` is asked."""
        return self._silence_seconds

    def _connect(self, application_name: str) -> psycopg.Connection[DictRow]:
        facts = self._facts
        with login_refusals(facts, facts.login, self._connect_seconds):
            connection = open_connection(
                facts,
                self._connect_seconds,
                user=facts.login,
                password=facts.password,
                application_name=application_name,
                client_encoding="utf8",
                options=f"-c TimeZone=UTC {_NO_LIMITS}",
            )
        connection.autocommit = True
        connection.prepare_threshold = None  # a table is asked once; plans kept on the server would only pile up
        try:
            if connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE:
                connection.execute("SET transaction_timeout = 0")
            # So that a statement of ours ends when our worker was killed; servers on Windows cannot.
            with contextlib.suppress(psycopg.DataError, psycopg.ProgrammingError):
                connection.execute("SET client_connection_check_interval = '5s'")
        except psycopg.Error as error:
            connection.close()
            raise self.translated(error, "-- the limits of a session") from None
        return connection

    def _service_file(self) -> str:
        extra = {key: str(self._facts.extra[key]) for key in _SERVICE_KEYS if key in self._facts.extra}
        settings = {**_KEEPALIVES, **extra}
        return f"[{_SERVICE}]\n" + "".join(f"{key}={value}\n" for key, value in settings.items())


class PostgresSession:
    """Implements `backup.ports.Session`. Thread-safe: statements of several threads queue up."""

    def __init__(self, connection: psycopg.Connection[DictRow], source: PostgresSource) -> None:
        self._connection = connection
        self._source = source
        self._pid = connection.info.backend_pid
        self._one_at_a_time = Lock()

    @property
    def pid(self) -> int:
        """The backend's process id."""
        return self._pid

    def rows(self, statement: str | Composed, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """See `Session.rows`. It takes as long as the server needs, as long as that one lets us in.

        Raises:
            TargetUnreachableError: the connection broke. TargetTimeoutError: the server fell silent.
            BusyError, AccessDeniedError, InputError, GarbledAnswerError.
        """
        cursor = self._done(statement, params)
        return cursor.fetchall() if cursor.description else []

    def touched(self, statement: str | Composed, params: Mapping[str, Any] | None = None) -> int:
        """See `Session.touched`. It raises what `rows` raises."""
        return self._done(statement, params).rowcount

    def _done(self, statement: str | Composed, params: Mapping[str, Any] | None) -> psycopg.Cursor[DictRow]:
        text = statement.encode() if isinstance(statement, str) else statement
        future: Future[psycopg.Cursor[DictRow]] = Future()

        def work() -> None:
            try:
                with self._one_at_a_time:
                    future.set_result(self._connection.execute(text, params))
            except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
                future.set_exception(error)

        try:
            with hanging_up(self._connection) as hang_up:
                Thread(target=work, name="tdev-session", daemon=True).start()
                try:
                    return self._patiently(future, _words(statement))
                except BaseException:  # also Ctrl-C: the thread must not wait on for the server
                    if not future.done():
                        hang_up()
                    raise
        except (psycopg.Error, OSError) as error:
            broken = error if isinstance(error, psycopg.Error) else psycopg.OperationalError(str(error))
            raise self._source.translated(broken, _words(statement)) from None

    def set_password(self, role: str, password: str) -> None:
        """See `Session.set_password`."""
        verifier = self._connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        statement = SQL("-- the password of a role\nALTER ROLE {} PASSWORD {}")
        self.rows(statement.format(Identifier(role), Literal(verifier.decode())))

    def _patiently(self, future: Future[psycopg.Cursor[DictRow]], words: str) -> psycopg.Cursor[DictRow]:
        while True:
            try:
                return future.result(timeout=self._source.silence_seconds)
            except TimeoutError:
                if future.done():
                    return future.result()
            if not self._source.lets_us_in() and not self._source.lets_us_in() and not future.done():
                raise TargetTimeoutError(
                    f"The database {self._source.name} fell silent while it was asked for {_title(words)}, and lets "
                    "nobody in; see whether the server hangs or the network drops its packets."
                )


def _written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return str(path)


def _words(statement: str | Composed) -> str:
    return statement if isinstance(statement, str) else statement.as_string()


def _title(statement: str) -> str:
    """Name a statement by the comment in its first line, which says what a row means."""
    first = statement.strip().partition("\n")[0]
    return f"«{first.removeprefix('--').strip().rstrip('.')[:100]}»"


def _line(text: str) -> str:
    return " ".join(text.split())[:300]

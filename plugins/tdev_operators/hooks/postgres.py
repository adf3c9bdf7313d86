"""PostgreSQL through psycopg 3: read-only, bounded in time, and quick to give up on a dead server."""

import math
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import BoundedSemaphore
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    GarbledAnswerError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.deadline import TimeUpError, within
from tdev_operators.hooks.outages import OutageMemory

PROBE_APPLICATION_NAME = "tdev-maintenance-probe"

# The server cancels a statement at its limit; only when it does not even do that do we hang up.
_HANG_UP_GRACE_SECONDS = 2.0
_LOCK_TIMEOUT_SECONDS = 2.0
_CLIENT_KEYS = ("sslcert", "sslkey", "sslpassword")
_EXTRAS = ("sslmode", "sslrootcert", "sslcrl", "channel_binding", "gssencmode", "target_session_attrs", *_CLIENT_KEYS)

# libpq gives no SQLSTATE for a refused connection, only the server's sentence.
_LOGIN_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|pg_hba\.conf rejects|is not permitted to log in"
    r"|role \".*\" does not exist|permission denied for database|certificate authentication failed"
)
_REFUSED_AFTER_PASSWORD = re.compile(r"permission denied for database|too many connections for role")
_NO_DATABASE = re.compile(r"database \".*\" does not exist")
_FULL = re.compile(r"too many clients|too many connections|connection slots are reserved")
_NOT_POSTGRES = re.compile(r"received invalid response|unexpected message|invalid response to")


class PostgresDatabase:
    """Implements `ports.Database`. Each call has its own connection, at most `max_connections` at once.

    A server that is down, or that accepts and says nothing, costs `connect_timeout_seconds` once: calls that follow
    shortly after fail at once with the same error.
    """

    def __init__(
        self,
        facts: ConnectionFacts,
        *,
        connect_timeout_seconds: float = 5.0,
        statement_timeout_seconds: float = 15.0,
        application_name: str = "tdev-maintenance",
        max_connections: int = 4,
    ) -> None:
        self._facts = facts
        self._connect_seconds = connect_timeout_seconds
        self._statement_seconds = statement_timeout_seconds
        self._application_name = application_name
        self._places = BoundedSemaphore(max_connections)
        self._max_connections = max_connections
        self.memory = OutageMemory(refusals=True)

    def __repr__(self) -> str:
        return f"PostgresDatabase({self._facts!r})"

    @property
    def name(self) -> str:
        """The database's name."""
        return self._facts.schema or self._facts.conn_id

    def rows(self, statement: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """See `ports.Database.rows`. Timestamps come aware, in UTC; numeric values as Decimal."""
        patience = self._connect_seconds + self._statement_seconds
        if not self._places.acquire(timeout=patience):
            raise BusyError(
                f"The database {self.name}: all {self._max_connections} of our connections were in use for "
                f"{patience:g} s; see which of our own statements take so long."
            )
        try:
            with self.memory.attempt():
                connection = self._connect()
            return self._fetch(connection, statement, params)
        finally:
            self._places.release()

    def _connect(self) -> psycopg.Connection[DictRow]:
        milliseconds = {
            "statement_timeout": self._statement_seconds,
            "lock_timeout": min(_LOCK_TIMEOUT_SECONDS, self._statement_seconds),
            "idle_in_transaction_session_timeout": self._statement_seconds,
        }
        options = " ".join(f"-c {name}={max(1, round(limit * 1000))}" for name, limit in milliseconds.items())
        with login_refusals(self._facts, self._facts.login, self._connect_seconds):
            return open_connection(
                self._facts,
                self._connect_seconds,
                user=self._facts.login,
                password=self._facts.password,
                application_name=self._application_name,
                options=f"-c default_transaction_read_only=on -c TimeZone=UTC {options}",
            )

    def _fetch(
        self, connection: psycopg.Connection[DictRow], statement: str, params: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        def work() -> list[dict[str, Any]]:
            with connection:  # commits or rolls back, then closes
                connection.read_only = True
                cursor = connection.execute(statement.encode(), params, prepare=False)
                return cursor.fetchall() if cursor.description else []

        limit = self._statement_seconds + _HANG_UP_GRACE_SECONDS
        try:
            with hanging_up(connection) as hang_up:
                return within(limit, work, abandon=hang_up)
        except TimeUpError:
            raise TargetTimeoutError(
                f"The database {self.name} fell silent and did not answer {_title(statement)} within {limit:g} s; "
                "see whether the server hangs or the network drops its packets."
            ) from None
        except psycopg.Error as error:
            raise self._translated(error, statement) from None

    def _translated(self, error: psycopg.Error, statement: str) -> TdevError:
        state, said = error.sqlstate or "", self._facts.scrub(error.diag.message_primary or str(error).strip())
        what = f"The database {self.name}, asked for {_title(statement)},"
        if not state and not isinstance(error, psycopg.OperationalError):
            return InputError(f"{what} was asked wrongly ({_line(said)}); mend the statement or its binds.")
        match state[:2], state:
            case _, "57014":
                return TargetTimeoutError(
                    f"{what} did not answer within {self._statement_seconds:g} s; see what slows it down."
                )
            case ("40", _) | (_, "55P03" | "55006"):
                return BusyError(f"{what} ran into a lock of somebody else ({said}); see who holds it, and try again.")
            case "53", _:
                return BusyError(f"{what} is short of a resource ({said}); free some, and try again.")
            case ("28", _) | (_, "42501"):
                return AccessDeniedError(
                    f"{what} refused the user {self._facts.login} ({said}); grant that user pg_monitor and the rights "
                    "to read."
                )
            case "XX" | "58", _:
                return GarbledAnswerError(f"{what} reports a fault inside ({said}, {state}); look into its log.")
            case ("", _) | ("57" | "08", _):
                return TargetUnreachableError(f"{what} broke the connection off ({_line(said)}); see whether it runs.")
            case _:
                return InputError(f"{what} refused the statement ({said}, SQLSTATE {state}); mend it.")


class PostgresCredentialProbe:
    """Implements `ports.CredentialProbe`: tries a login and says only whether it worked.

    A refusal that proves nothing about the password (server down, too many clients) is raised as an error; one that
    comes after the password was accepted (no right to this database) counts as accepted.
    """

    def __init__(self, facts: ConnectionFacts, *, connect_timeout_seconds: float = 5.0) -> None:
        # A key of our own would open the door whatever the password is.
        extra = {key: value for key, value in facts.extra.items() if key not in _CLIENT_KEYS}
        self._facts = replace(facts, extra=extra)
        self._connect_seconds = connect_timeout_seconds
        self.memory = OutageMemory()

    def __repr__(self) -> str:
        return f"PostgresCredentialProbe({self._facts!r})"

    def database_accepts(self, user: str, password: str) -> bool:
        """See `ports.CredentialProbe.database_accepts`.

        Raises:
            TargetUnreachableError, TargetTimeoutError, BusyError, GarbledAnswerError, InputError.
        """
        with self.memory.attempt():
            try:
                with login_refusals(self._facts, user, self._connect_seconds):
                    return self._password_holds(user, password)
            except AccessDeniedError:
                return False

    def _password_holds(self, user: str, password: str) -> bool:
        try:
            connection = open_connection(
                self._facts,
                self._connect_seconds,
                user=user,
                password=password,
                passfile=os.devnull + "/none",  # an empty password must not be replaced by one from a file of ours
                application_name=PROBE_APPLICATION_NAME,
            )
        except psycopg.OperationalError as error:
            if _REFUSED_AFTER_PASSWORD.search(str(error)):
                return True
            raise
        connection.close()
        return True


def open_connection(facts: ConnectionFacts, seconds: float, **keywords: str) -> psycopg.Connection[DictRow]:
    """Connect within a time limit; psycopg's own errors come out, for `login_refusals` to tell.

    Raises:
        SetupMissingError: the connection names no host.
    """
    if not facts.host:
        raise SetupMissingError(f"The connection {facts.conn_id} names no host; set the address of the database there.")
    settings: dict[str, str | int] = {
        **{key: str(facts.extra[key]) for key in _EXTRAS if key in facts.extra},
        "host": facts.host,
        "port": facts.port or 5432,
        "dbname": facts.schema or "postgres",
        "connect_timeout": max(2, math.ceil(seconds)),  # libpq takes no less; `within` keeps the exact limit
        "tcp_user_timeout": max(1, round(seconds * 1000)),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        **keywords,
    }
    conninfo = make_conninfo("", **settings)

    def work() -> psycopg.Connection[DictRow]:
        return psycopg.connect(conninfo, row_factory=dict_row)

    return within(seconds, work, discard=lambda late: late.close())


@contextmanager
def login_refusals(facts: ConnectionFacts, user: str, seconds: float) -> Iterator[None]:
    """Say in our words why no connection came about."""
    where = f"The database {facts.schema or facts.conn_id} at {facts.host}:{facts.port or 5432}"
    try:
        yield
    except (TimeUpError, psycopg.errors.ConnectionTimeout):
        raise TargetTimeoutError(
            f"{where} did not answer within {seconds:g} s; see whether it runs and whether a firewall is between."
        ) from None
    except psycopg.Error as error:
        said = facts.scrub(_line(str(error)))
        if _LOGIN_REFUSED.search(said):
            raise AccessDeniedError(
                f"{where} refused the user {user}; mend login and password of the connection {facts.conn_id}, "
                "or the server's pg_hba.conf."
            ) from None
        if _NO_DATABASE.search(said):
            raise InputError(
                f"{where} does not exist; mend the database name (schema) of the connection {facts.conn_id}."
            ) from None
        if _FULL.search(said):
            raise BusyError(f"{where} has no free connection; see who holds them, or raise max_connections.") from None
        if _NOT_POSTGRES.search(said):
            raise GarbledAnswerError(
                f"{where} does not speak PostgreSQL; mend host and port of the connection {facts.conn_id}."
            ) from None
        raise TargetUnreachableError(f"{where} cannot be reached ({said}); see whether it runs.") from None
    except OSError as error:  # the name look-up
        raise TargetUnreachableError(f"{where} cannot be reached ({error.strerror}); mend the host name.") from None


@contextmanager
def hanging_up(connection: psycopg.Connection[DictRow]) -> Iterator[Callable[[], None]]:
    """Offer a way to end a conversation from another thread; closing the connection there would race with its use."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        yield lambda: line.shutdown(socket.SHUT_RDWR)


def _title(statement: str) -> str:
    """Name a statement by the comment in its first line, which says what a row means."""
    first = statement.strip().partition("\n")[0]
    return f"«{first.removeprefix('--').strip().rstrip('.')[:100]}»"


def _line(text: str) -> str:
    return " ".join(text.split())[:300]

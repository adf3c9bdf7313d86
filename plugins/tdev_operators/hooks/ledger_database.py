"""The ledger's PostgreSQL database: short transactions with time limits, and its errors in our words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    GarbledAnswerError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.reporting.escaping import storable
from tdev_operators.core.sql import load_sql
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.deadline import TimeUpError, within
from tdev_operators.hooks.postgres import hanging_up, login_refusals, open_connection

T = TypeVar("T")

CONNECTION = "tdev_ledger"
_CONNECT_SECONDS = 5.0
_STATEMENT_SECONDS = 20.0
# Migrations wait for each other, and may have to build an index.
_PATIENT_SECONDS = 1800.0
# The server cancels a statement at its limit; only when it does not even do that do we hang up.
_GRACE_SECONDS = 2.0


class LedgerTransaction:
    """Statements of one transaction, each by the name of its file under `include/sql/ledger/`."""

    def __init__(
        self, connection: psycopg.Connection[dict[str, Any]], seconds: float, hang_up: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._seconds = seconds
        self._hang_up = hang_up

    def rows(self, name: str, /, **binds: object) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        return self._bounded(lambda: self._rows(name, binds))

    def row(self, name: str, /, **binds: object) -> dict[str, Any] | None:
        """Run a statement and return its first row, or None."""
        return next(iter(self.rows(name, **binds)), None)

    def many(self, name: str, binds: Sequence[Mapping[str, object]]) -> None:
        """Run a statement once for each set of binds."""
        for each in binds:
            self.rows(name, **each)

    def script(self, text: str) -> None:
        """Run a file of statements that has no binds."""
        self._bounded(lambda: self._connection.execute(text.encode()))

    def commit(self) -> None:
        """Make it lasting."""
        self._bounded(self._connection.commit)

    def _rows(self, name: str, binds: Mapping[str, object]) -> list[dict[str, Any]]:
        cursor = self._connection.execute(load_sql(f"ledger/{name}").encode(), _ready(binds) or None, prepare=False)
        return cursor.fetchall() if cursor.description else []

    def _bounded(self, work: Callable[[], T]) -> T:
        return within(self._seconds + _GRACE_SECONDS, work, abandon=self._hang_up)


class LedgerDatabase:
    """One database, reached anew for every transaction, so that it serves any thread and outlives no restart."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._facts = facts

    @contextmanager
    def transaction(self, *, patient: bool = False) -> Iterator[LedgerTransaction]:
        """Open a transaction that is committed when the block ends well.

        Args:
            patient: for migrations, which wait for each other.

        Raises:
            TargetUnreachableError, TargetTimeoutError, AccessDeniedError, BusyError, InputError (no such database),
            SetupMissingError (no `tdev init` yet), GarbledAnswerError.
        """
        seconds = _PATIENT_SECONDS if patient else _STATEMENT_SECONDS
        with login_refusals(self._facts, self._facts.login, _CONNECT_SECONDS):
            connection = open_connection(
                self._facts,
                _CONNECT_SECONDS,
                user=self._facts.login,
                password=self._facts.password,
                application_name="tdev-maintenance ledger",
                # A worker that is asleep in the middle of a transaction must not keep the others waiting for its locks.
                options=f"-c statement_timeout={seconds:.0f}s -c TimeZone=UTC -c search_path=pg_catalog "
                f"-c idle_in_transaction_session_timeout={seconds / 2:.0f}s",
            )
        try:
            with hanging_up(connection) as hang_up, ledger_errors():
                transaction = LedgerTransaction(connection, seconds, hang_up)
                yield transaction
                transaction.commit()
        finally:
            connection.close()


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Turn PostgreSQL's errors into ours."""
    try:
        yield
    except TimeUpError:
        raise TargetTimeoutError(f"The ledger fell silent; look at the database of {CONNECTION}.") from None
    except psycopg.Error as error:
        raise _translated(error) from None


def _translated(error: psycopg.Error) -> TdevError:
    state, said = error.sqlstate or "", _first_line(str(error))
    match state[:2], state:
        case _, "42P01" | "3F000" | "42703" | "42883":
            return SetupMissingError("The ledger's tables are missing or old; run `tdev init`.")
        case _, "57014":
            return TargetTimeoutError(f"The ledger did not answer in time; look at the database of {CONNECTION}.")
        case ("40", _) | (_, "55P03"):
            return BusyError(f"Somebody else holds what this needs in the ledger ({said}); try again.")
        case "53", _:
            return BusyError(f"The ledger is short of a resource ({said}); free some.")
        case ("28", _) | (_, "42501"):
            return AccessDeniedError(f"The ledger refused the role of {CONNECTION} ({said}); grant it what it needs.")
        case _, "25006":
            return AccessDeniedError(f"The ledger is read-only ({said}); let {CONNECTION} name the primary.")
        case ("", _) | ("57" | "08", _) if isinstance(error, psycopg.OperationalError):
            return TargetUnreachableError(f"The ledger broke the connection off; look at the database of {CONNECTION}.")
        case _:
            return GarbledAnswerError(f"The ledger refused a statement ({said}, SQLSTATE {state}).")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _ready(binds: Mapping[str, object]) -> dict[str, object]:
    return {name: storable(value) if isinstance(value, str) else value for name, value in binds.items()}


def as_json(value: object) -> Jsonb:
    """Return a bind for a jsonb column, without what PostgreSQL cannot keep."""
    return Jsonb(storable(value))

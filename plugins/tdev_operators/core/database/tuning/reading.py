"""What a server says about its settings: what runs, what its files hold, what roles and databases have of their own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.tuning.units import Kind
from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.sql import load_sql

AUTO = "postgresql.auto.conf"  # what ALTER SYSTEM writes, and the last that is read
RESTART = "postmaster"
_SECRET = re.compile(r"conninfo|passphrase|password|secret|token|key", re.IGNORECASE)
_OURS = ("client", "session", "interactive")  # values that our own session brought with it
_OWN = ("database", "user", "database user")  # ALTER DATABASE, ALTER ROLE


@dataclass(frozen=True, slots=True)
class Running:
    """A setting that the server has, as a session finds it. `setting` and `boot` are in base units."""

    kind: Kind
    setting: str
    boot: str
    context: str
    source: str
    pending_restart: bool
    may_alter: bool

    @property
    def name(self) -> str:
        """As the server spells it."""
        return self.kind.name

    @property
    def needs_restart(self) -> bool:
        """Whether a change counts only after a restart."""
        return self.context == RESTART

    @property
    def is_ours(self) -> bool:
        """Whether our session brought the value with it, so that it says nothing of the server."""
        return self.source in _OURS

    @property
    def is_overridden(self) -> bool:
        """Whether ALTER DATABASE or ALTER ROLE decide it for our session."""
        return self.source in _OWN

    @property
    def is_fixed(self) -> bool:
        """Whether the command line or the environment of the server decide it, whatever the files say."""
        return self.source in ("command line", "environment variable")


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of a configuration file. `applied`: it counts, or would after a reload."""

    number: int
    file: str
    line: int
    name: str
    setting: str
    applied: bool
    error: str

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.file.rpartition('/')[2]}:{self.line}"

    @property
    def shown(self) -> str:
        """Its value for people; a password may stand in one of these."""
        return "***" if _SECRET.search(self.name) else repr(self.setting)

    @property
    def is_auto(self) -> bool:
        """Whether ALTER SYSTEM wrote it."""
        return self.file.rpartition("/")[2] == AUTO


@dataclass(frozen=True, slots=True)
class Override:
    """A value that only some sessions get."""

    database: str
    role: str
    name: str
    setting: str

    @property
    def statement(self) -> str:
        """What takes it away."""
        if self.role and self.database:
            return f'ALTER ROLE "{self.role}" IN DATABASE "{self.database}" RESET {self.name};'
        if self.role or self.database:
            what = f'ROLE "{self.role}"' if self.role else f'DATABASE "{self.database}"'
            return f"ALTER {what} RESET {self.name};"
        return f"ALTER ROLE ALL RESET {self.name};"


@dataclass(frozen=True, slots=True)
class Server:
    """Who the server is, and what our role may do there about settings."""

    login: str
    major: int
    started_at: datetime
    loaded_at: datetime
    allows_alter_system: bool
    is_rds: bool
    is_patroni: bool
    may_reload: bool
    missing_grants: tuple[str, ...]  # without which the files may not be read


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that one look found. `lines` is None where the files may not be read; `unread` says why."""

    server: Server
    running: Mapping[str, Running]  # by the name in lower case
    lines: tuple[FileLine, ...] | None
    unread: str
    overrides: tuple[Override, ...]

    def lines_of(self, name: str) -> list[FileLine]:
        """Return the lines about a setting, in the order in which later ones win."""
        return [line for line in self.lines or () if line.name.lower() == name.lower()]

    def in_auto(self, name: str) -> str | None:
        """Return what ALTER SYSTEM has set, as it stands there; None when it has not."""
        return next((line.setting for line in reversed(self.lines_of(name)) if line.is_auto), None)


def look(session: Session) -> Seen:
    """Ask a server about its settings. The files may be denied; everything else may not.

    Raises:
        TdevError: as `Session.rows`.
    """
    row = session.rows(load_sql("tuning/server"))[0]
    server = Server(
        login=row["login"],
        major=row["version_num"] // 10_000,
        started_at=row["started_at"],
        loaded_at=row["loaded_at"],
        allows_alter_system=row["allows_alter_system"],
        is_rds=row["is_rds"],
        is_patroni=row["is_patroni"],
        may_reload=row["may_reload"],
        missing_grants=_missing_grants(row),
    )
    # The files first: reading them is what tells this session which settings wait for a restart.
    lines, unread = file_lines(session, server)
    running = {found["name"].lower(): _running(found) for found in session.rows(load_sql("tuning/settings"))}
    overrides = tuple(Override(**found) for found in session.rows(load_sql("tuning/overrides")))
    return Seen(server, running, lines, unread, overrides)


def file_lines(session: Session, server: Server) -> tuple[tuple[FileLine, ...] | None, str]:
    """Return the lines of the server's files; None and the reason, with the GRANT, where they may not be read."""
    if server.missing_grants:
        return None, f"the role {server.login} may not read the files: {'; '.join(server.missing_grants)}"
    try:
        return tuple(_line(row) for row in session.rows(load_sql("tuning/file_settings"))), ""
    except AccessDeniedError as error:
        return None, str(error).rstrip(".")


def _missing_grants(row: Mapping[str, Any]) -> tuple[str, ...]:
    grants = {
        "may_select_files": "GRANT SELECT ON pg_file_settings",
        "may_show_files": "GRANT EXECUTE ON FUNCTION pg_show_all_file_settings()",
    }
    return tuple(f'{grant} TO "{row["login"]}"' for right, grant in grants.items() if not row[right])


def _running(row: Mapping[str, Any]) -> Running:
    numeric = row["vartype"] in ("integer", "real")
    kind = Kind(
        name=row["name"],
        vartype=row["vartype"],
        unit=row["unit"] or "",
        choices=tuple(row["enumvals"] or ()),
        low=float(row["min_val"]) if numeric and row["min_val"] else None,
        high=float(row["max_val"]) if numeric and row["max_val"] else None,
    )
    return Running(
        kind=kind,
        setting=row["setting"] or "",
        boot=row["boot_val"] or "",
        context=row["context"],
        source=row["source"],
        pending_restart=row["pending_restart"],
        may_alter=bool(row["may_alter"]),
    )


def _line(row: Mapping[str, Any]) -> FileLine:
    return FileLine(
        number=row["seqno"] or 0,
        file=row["sourcefile"] or "",
        line=row["sourceline"] or 0,
        name=row["name"] or "",
        setting=row["setting"] or "",
        applied=bool(row["applied"]),
        error=row["error"] or "",
    )

"""Lock files and lease rows of an engine that is dead: proven by the process that they name, on the host that it names.

Both go only after the service was stopped on every host. A lock file is moved aside, not removed; a lease row goes into
the journal before it goes. What names a process that lives stays, however old it is.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg.sql import SQL, Composed, Identifier

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import CommandFailedError, PermanentError, TdevError
from tdev_operators.core.evolution.recovery.locks import Cleared
from tdev_operators.core.evolution.recovery.settings import EvolutionRecoverySettings, LeaseTable
from tdev_operators.core.health.on_hosts import output_of
from tdev_operators.core.ports import CommandOutput, Host

ASIDE = ".tdev-stale"
_NO_FILE = "No such file"
_PID = re.compile(r"\s*([0-9]{1,10})\b")
_READ_BYTES = 200

Note = Callable[[str, Mapping[str, Any]], None]


def lives(host: Host, pid: int) -> bool:
    """Whether a process lives on a host; a zombie does not hold anything any more.

    Raises:
        CommandFailedError: nobody can say; and what `Host.run` raises.
    """
    ended = host.run(["cat", f"/proc/{pid}/stat"], timeout_seconds=10.0)
    if ended.exit_status == 0:
        return not re.search(r"\) [ZX] ", ended.stdout)
    if _NO_FILE in ended.stderr or "No such process" in ended.stderr:
        return False
    raise CommandFailedError(f"Nobody can see whether process {pid} of {host.name} lives: {_said(ended)}.")


def clear_lock_files(rules: EvolutionRecoverySettings, hosts: Sequence[Host], note: Note) -> Cleared:
    """Move aside the lock files whose process is dead. What cannot be looked at stays, and is told."""
    ended, kept = [], []
    for host in hosts:
        for file in rules.lock_files:
            name = f"{file} on {host.name}"
            try:
                pid = owner_of(host, file)
                if pid is None:
                    continue
                if lives(host, pid):
                    kept.append(f"{name} stays: its process {pid} lives")
                    continue
                note("evolution_lock_file", {"host": host.name, "file": file, "pid": pid, "way_back": f"{file}{ASIDE}"})
                why = _move_aside(host, file, pid)
            except TdevError as error:
                why = str(error).rstrip(".")
            if why:
                kept.append(f"{name} stays: {why}")
            else:
                ended.append(f"{name} was moved aside to {file}{ASIDE}: its process {pid} is dead")
    return Cleared(tuple(ended), tuple(kept))


def clear_leases(session: Session, table: LeaseTable, hosts: Sequence[Host], note: Note) -> Cleared:
    """Remove the lease rows whose process is dead on its host. A row that cannot be judged stays, and is told.

    Raises what `Session.rows` raises for the table as a whole.
    """
    by_name, ended, kept = _names_of(hosts), [], []
    for row in session.rows(_rows_of(table)):
        name = f"the lease of process {row['pid']} on {row['host']}"
        host = by_name.get(str(row["host"]))
        try:
            if host is None:
                why = f"{row['host']} is none of the hosts on which the engine was stopped"
            elif not re.fullmatch(r"[0-9]{1,10}", str(row["pid"])):
                why = f"{row['pid']!r} is no process id"
            elif lives(host, int(row["pid"])):
                why = "its process lives"
            else:
                note("evolution_lease", {"table": table.table, "row": row["whole"]})
                removed = session.touched(_removal_of(table), {"place": row["place"], "version": row["version"]})
                why = "" if removed else "it was changed while it was looked at"
        except PermanentError as error:
            why = str(error).rstrip(".")
        if why:
            kept.append(f"{name} stays: {why}")
        else:
            ended.append(f"{name} was removed: its process is dead; the row stands in the ledger's journal")
    return Cleared(tuple(ended), tuple(kept))


def owner_of(host: Host, file: str) -> int | None:
    """Return the process whose lock file it is; None when there is no such file.

    Raises:
        CommandFailedError: it cannot be read, or names no process; a clause. And what `Host.run` raises.
    """
    ended = host.run(["head", "-c", str(_READ_BYTES), "--", file], timeout_seconds=10.0)
    if ended.exit_status != 0:
        if _NO_FILE in ended.stderr:
            return None
        raise CommandFailedError(f"it cannot be read ({_said(ended)})")
    found = _PID.match(ended.stdout)
    if not found:
        raise CommandFailedError("it does not begin with a process id")
    return int(found[1])


def _move_aside(host: Host, file: str, pid: int) -> str:
    """Move it and look at what was moved: somebody may have written another one meanwhile. Return why not."""
    aside = f"{file}{ASIDE}"
    moved = host.run(["mv", "-fT", "--", file, aside], timeout_seconds=10.0)
    if moved.exit_status != 0:
        return f"it cannot be moved ({_said(moved)})"
    if owner_of(host, aside) == pid:
        return ""
    host.run(["mv", "-nT", "--", aside, file], timeout_seconds=10.0)
    return "another process took it while it was looked at"


def _names_of(hosts: Sequence[Host]) -> dict[str, Host]:
    return {output_of(host, "hostname").strip(): host for host in hosts}


def _rows_of(table: LeaseTable) -> Composed:
    return SQL(
        "-- a row is a lease: whose, and the row itself with its place and version\n"
        "SELECT {host}::text AS host, {pid}::text AS pid, to_jsonb(lease) AS whole, ctid::text AS place, "
        "xmin::text AS version FROM {table} AS lease LIMIT 200"
    ).format(host=Identifier(table.host_column), pid=Identifier(table.pid_column), table=_named(table))


def _removal_of(table: LeaseTable) -> Composed:
    return SQL(
        "-- the very row that was looked at, unless somebody wrote it since\n"
        "DELETE FROM {table} WHERE ctid = %(place)s::tid AND xmin = %(version)s::xid"
    ).format(table=_named(table))


def _named(table: LeaseTable) -> Identifier:
    return Identifier(*table.table.split("."))


def _said(ended: CommandOutput) -> str:
    lines = (ended.stderr or ended.stdout).strip().splitlines()
    return lines[-1][:200].rstrip(".") if lines else "it said nothing"

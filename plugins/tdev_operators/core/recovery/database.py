"""Restoring a database of a set into a new one beside the live one, and proving it there (guide: Backup Restoration).

Nothing that exists is touched. The new database carries a comment that says whose it is and how far it came, so that a
retry knows its dead predecessor's work from somebody else's database.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from psycopg.sql import SQL, Identifier

from tdev_operators.core.backup.database.names import LONGEST_NAME, commenting, facts_of
from tdev_operators.core.backup.database.proof_record import ProofRecord, TableRecord, compare, compare_tables, record
from tdev_operators.core.backup.database.properties import give_properties
from tdev_operators.core.backup.database.tools import tool
from tdev_operators.core.backup.manifest import DatabaseDump, Manifest
from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.backup.proof.restore import RestoreOptions, restore_database, restore_globals
from tdev_operators.core.backup.proof.scratch import Needs, creating
from tdev_operators.core.errors import InputError
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

MARK = "tdev_restore"
_PUBLIC = "schema public"
_PROOF_LIMIT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RestoredDatabase:
    """A database that was restored beside the live one. `phases` are seconds.

    `differences` is what is not as it was at the source; `unprovable` says why nobody can tell. With neither it is
    proven: `tables` with `rows` were compared.
    """

    name: str
    source: str
    set_id: str
    oid: int
    phases: Mapping[str, float] = field(default_factory=dict)
    tables: int = 0
    rows: int = 0
    differences: tuple[str, ...] = ()
    unprovable: str = ""

    @property
    def is_proven(self) -> bool:
        """Whether what stands there is what the source held."""
        return not self.differences and not self.unprovable

    def facts(self) -> dict[str, object]:
        """Return it as JSON for the journal; `RestoredDatabase.of_facts` reads it back."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "phases": dict(self.phases),
            "differences": list(self.differences),
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, object]) -> "RestoredDatabase":
        """Return what was noted in the journal."""
        return cls(**{**facts, "differences": tuple(facts["differences"])})  # type: ignore[arg-type]


def dump_of(manifest: Manifest, name: str = "") -> DatabaseDump:
    """Return a database of a set: the system's own when no name is given.

    Raises:
        InputError: the set has no such database.
    """
    found = next(
        (one for one in manifest.databases if one.name == name or (not name and one.role == "maintained")), None
    )
    if found is None:
        names = ", ".join(one.name for one in manifest.databases)
        raise InputError(f"The set {manifest.set_id} has no database {name!r}; choose from: {names}.")
    return found


def restore_beside(
    ports: RecoveryPorts,
    settings: Settings,
    manifest: Manifest,
    dump: DatabaseDump,
    name: str,
    journal: Journal,
    *,
    tables: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> RestoredDatabase:
    """Restore a dump into a new database called `name`, and hold it against the proof that the set has of its source.

    With `tables` (`agents` or `public.agents`) only their rows are restored, with everything's definitions and without
    foreign keys. Done already by an earlier try of this recovery, it is not done again. Roles that exist stay as they
    are; those that are missing are made, without passwords.

    Raises:
        InputError: the name is taken, the server is older than the dump, or there is no such table.
        ProofFailedError: an object of the set is missing or damaged.
        TransientError: server or store are away; try again.
        AccessDeniedError: no identity fits the set, or the role may not create databases.
    """
    return _Beside(ports, settings, manifest, dump, name, journal, tables, progress, check).run()


class _Beside:
    def __init__(
        self,
        ports: RecoveryPorts,
        settings: Settings,
        manifest: Manifest,
        dump: DatabaseDump,
        name: str,
        journal: Journal,
        tables: Collection[str],
        progress: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        if not name or len(name.encode()) > LONGEST_NAME or not name.isprintable():
            raise InputError(f"{name!r} cannot be a database's name; write 1 to {LONGEST_NAME} printable bytes.")
        self._ports, self._settings, self._manifest, self._dump = ports, settings, manifest, dump
        self._name, self._journal, self._tables = name, journal, tables
        self._progress, self._check = progress, check
        self._step = f"database {name}"
        folder = f"{settings.system.name}/{manifest.set_id}/"
        self._files = SetFiles(ports.store, settings.buckets.backups, folder, ports.cipher)

    def run(self) -> RestoredDatabase:
        begun = time.monotonic()
        expected = self._expected()
        chosen = _chosen(expected, self._tables)
        with self._ports.session() as session:
            major = int(session.rows("SHOW server_version_num")[0]["server_version_num"]) // 10_000
            if major < self._dump.major:
                raise InputError(
                    f"The dump is of PostgreSQL {self._dump.major} and the server is {major}; restore into one that is "
                    "as new."
                )
            if finished := self._finished(session):
                return finished
            self._make_room(session)
            roles = {str(row["name"]) for row in session.rows(load_sql("recovery/roles"))}
            self._journal.note(self._step, "intended", set_id=self._manifest.set_id, tables=sorted(self._tables))
            create, comment = creating(self._name, Needs.of_dump(self._dump), self._mark("filling"))
            session.rows(create)
            session.rows(comment)
            oid: int = facts_of(session, self._name)["oid"]
        target = self._ports.server(self._name)
        phases = {"prepare": time.monotonic() - begun}
        phases |= self._fill(target, major, expected, chosen, frozenset(roles))
        restored = self._proven(target, major, oid, expected, chosen, phases)
        self._journal.note(self._step, "done", **restored.facts())
        with self._ports.session() as session:
            session.rows(commenting(self._name, self._mark("proven" if restored.is_proven else "NOT proven")))
        return restored

    def _expected(self) -> ProofRecord:
        whole = self._files.whole(self._dump.proof, max_bytes=_PROOF_LIMIT_BYTES)
        try:
            return ProofRecord.model_validate_json(whole)
        except ValueError:
            raise InputError(
                f"The proof {self._dump.proof.key} is of a format that is not known here; restore with a newer version."
            ) from None

    def _finished(self, session: Session) -> RestoredDatabase | None:
        facts = self._journal.done(self._step)
        there = facts_of(session, self._name)
        if facts is None or not there:
            return None
        restored = RestoredDatabase.of_facts(facts)
        if restored.oid != there["oid"] or restored.set_id != self._manifest.set_id:
            return None
        self._progress(f"{self._name} was restored by an earlier try of {self._journal.recovery_id}")
        return restored

    def _make_room(self, session: Session) -> None:
        """Drop what a dead try of this very recovery left; refuse anything else."""
        unmarked = self._began_and_is_empty
        dropped_if_ours(session, self._name, self._journal.recovery_id, self._progress, unmarked)

    def _began_and_is_empty(self) -> bool:
        """Whether a try of ours died between creating the database and marking it."""
        entry = self._journal.last(self._step)
        if entry is None or entry.event != "intended":
            return False
        with self._ports.session(self._name) as session:
            return bool(session.rows(load_sql("recovery/relations_of_users"), {})[0]["relations"] == 0)

    def _fill(
        self,
        target: SourceDatabase,
        major: int,
        expected: ProofRecord,
        chosen: Collection[TableRecord],
        roles: frozenset[str],
    ) -> dict[str, float]:
        backup = self._settings.backup
        programs = {name: tool(name, major, backup.client_tools) for name in ("psql", "pg_restore")}
        options = RestoreOptions(
            jobs=backup.parallel_jobs,
            without_public=_PUBLIC not in expected.definitions,
            only=frozenset((table.schema_name, table.name) for table in chosen),
            kept_roles=roles,
        )
        begun = time.monotonic()
        globals_file = self._dump.globals or self._manifest.globals
        restore_globals(self._files, globals_file, target, programs["psql"], options)
        phases = {"globals": time.monotonic() - begun}
        begun = time.monotonic()
        self._give_passwords(roles)
        phases["passwords"] = time.monotonic() - begun
        self._progress(f"{self._name}: restoring {self._dump.raw_bytes / 1e6:,.0f} MB")
        restored = restore_database(
            self._files,
            self._dump,
            target,
            programs["pg_restore"],
            options=options,
            progress=self._progress,
            check=self._check,
        )
        if self._dump.properties is not None:
            with self._ports.session() as session:
                give_properties(session, self._name, self._dump.properties)
        return {**phases, **restored.phases}

    def _give_passwords(self, before: frozenset[str]) -> None:
        """Give the roles that were made their passwords: a set holds none unless that was asked for."""
        known = self._settings.recovery.role_passwords
        with self._ports.session() as session:
            made = {str(row["name"]) for row in session.rows(load_sql("recovery/roles"))} - before
            for role in sorted(made & known.keys()):
                session.set_password(role, self._ports.password_of(known[role]))
        if without := sorted(made - known.keys()):
            self._progress(
                f"roles that were made and have no password of recovery.role_passwords: {', '.join(without)}"
            )

    def _proven(
        self,
        target: SourceDatabase,
        major: int,
        oid: int,
        expected: ProofRecord,
        chosen: Collection[TableRecord],
        phases: dict[str, float],
    ) -> RestoredDatabase:
        differences, unprovable = tuple[str, ...](), ""
        begun = time.monotonic()
        if major != expected.major:
            unprovable = (
                f"the digests are of PostgreSQL {expected.major} and the server is {major}, whose hashes may differ"
            )
        else:
            found = record(
                target, jobs=self._settings.backup.parallel_jobs, progress=self._progress, still_ours=self._check
            )
            titles = {table.title for table in chosen}
            differences = compare_tables(expected, found, titles) if titles else compare(expected, found)
        phases["verify"] = time.monotonic() - begun
        compared = chosen or expected.tables
        return RestoredDatabase(
            name=self._name,
            source=self._dump.name,
            set_id=self._manifest.set_id,
            oid=oid,
            phases={name: round(took, 3) for name, took in phases.items()},
            tables=len(compared),
            rows=sum(table.rows or 0 for table in compared),
            differences=differences,
            unprovable=unprovable,
        )

    def _mark(self, state: str) -> str:
        return f"{MARK} {self._journal.recovery_id} {self._manifest.set_id} {state}"


def dropped_if_ours(
    session: Session,
    name: str,
    recovery_id: str,
    progress: Callable[[str], None],
    unmarked_is_ours: Callable[[], bool] = lambda: False,
) -> None:
    """Drop a database that a dead try of this very recovery left, if there is one.

    Raises:
        InputError: it is somebody else's.
    """
    there = facts_of(session, name)
    if not there:
        return
    ours = str(there["comment"]).startswith(f"{MARK} {recovery_id} ")
    if not ours and not (not there["comment"] and unmarked_is_ours()):
        raise InputError(
            f"The database {name} is there already; give the new one another name, or drop that one first."
        )
    progress(f"{name} is what a try of ours left: it is dropped and made anew")
    session.rows(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _chosen(expected: ProofRecord, tables: Collection[str]) -> tuple[TableRecord, ...]:
    """Return the records of the tables that were named.

    Raises:
        InputError: there is no such table, it holds no rows of its own, or the name means two.
    """
    chosen = []
    for name in dict.fromkeys(tables):
        meant = [table for table in expected.tables if name in (table.title, f"{table.schema_name}.{table.name}")]
        meant = meant or [table for table in expected.tables if table.name == name]
        with_rows = [table for table in meant if table.rows is not None]
        if len(with_rows) != 1:
            known = ", ".join(table.title for table in expected.tables if table.rows is not None)[:300]
            why = "is ambiguous" if with_rows else "holds no rows of its own" if meant else "is not in the set"
            raise InputError(f"The table {name!r} {why}; choose from: {known}.")
        chosen.append(with_rows[0])
    return tuple(chosen)

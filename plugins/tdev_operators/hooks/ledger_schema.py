"""The ledger's tables: versioned migrations, and the proof that the ledger is not the database that it watches."""

import hashlib
import re
from dataclasses import dataclass

from tdev_operators.core.errors import SettingsError, SetupMissingError
from tdev_operators.core.ports import Database
from tdev_operators.core.sql import include_dir, load_sql
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger_database import CONNECTION, LedgerDatabase


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: `0001_items_and_reports`."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Fingerprint of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def shipped_migrations() -> list[Migration]:
    """Return this product's migrations in order.

    Raises:
        SetupMissingError: their numbers have a gap or a double, or a file is misnamed.
    """
    found = []
    for path in sorted((include_dir() / "sql" / "ledger" / "migrations").glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)
        if match is None:
            raise SetupMissingError(f"{path.name} is no migration's name; write it like 0004_what_it_does.sql.")
        found.append(Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8")))
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise SetupMissingError("The ledger's migrations are not numbered 1, 2, 3, ...; name the files anew.")
    return found


def migrate(facts: ConnectionFacts, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the ledger's tables up to date; returns the names of the migrations that were missing.

    Several may start at once: one works, the others wait and then find nothing to do. All steps are one transaction.

    Raises:
        SetupMissingError: a migration that this ledger has had was edited since, or is newer than this product.
        TargetUnreachableError, AccessDeniedError: the database cannot be reached or changed.
    """
    shipped = {m.version: m for m in (shipped_migrations() if migrations is None else migrations)}
    with LedgerDatabase(facts).transaction(patient=True) as tx:
        tx.rows("lock_migrations")
        tx.script(load_sql("ledger/bootstrap"))
        done = {row["version"]: row for row in tx.rows("applied_migrations")}
        for version, row in done.items():
            known = shipped.get(version)
            if known is None:
                raise SetupMissingError(
                    f"The ledger has the migration {row['name']} of a newer version; install that one."
                )
            if known.checksum != row["checksum"]:
                raise SetupMissingError(
                    f"The migration {row['name']} was edited after this ledger had it; restore it and add a new one."
                )
        missing = [migration for version, migration in sorted(shipped.items()) if version not in done]
        for migration in missing:
            tx.script(migration.text)
            tx.rows("record_migration", version=migration.version, name=migration.name, checksum=migration.checksum)
    return [migration.name for migration in missing]


def ensure_separate(facts: ConnectionFacts, maintained: Database) -> None:
    """Prove that the ledger is not the maintained database: a restore of that one must not rewind the audit trail.

    The proof asks both servers who they are; addresses, aliases and tunnels play no part.

    Raises:
        SettingsError: they are the same database.
        TdevError: one of them would not say, so nothing is proven.
    """
    with LedgerDatabase(facts).transaction() as tx:
        ours = tx.row("identity")
    theirs = next(iter(maintained.rows(load_sql("ledger/identity"))), None)
    if ours is None or theirs is None:
        raise SetupMissingError("The ledger or the maintained database would not say which database it is.")
    if (ours["cluster"], ours["database_name"]) == (theirs["cluster"], theirs["database_name"]):
        raise SettingsError(
            f"The connection {CONNECTION} leads to {ours['database_name']}, the maintained database itself; "
            f"give the ledger a database of its own."
        )

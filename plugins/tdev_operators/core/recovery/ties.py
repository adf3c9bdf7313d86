"""What hangs on a database by its name: it stays with the old one, or finds the new one, when names are exchanged."""

from dataclasses import dataclass

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.sql import load_sql

SLOT, PREPARED = "replication slot", "prepared transaction"


@dataclass(frozen=True, slots=True)
class Tie:
    """One thing: `kind` is a replication slot, a prepared transaction, a subscription, a foreign server, a cron job."""

    kind: str
    name: str
    database: str = ""

    def __str__(self) -> str:
        where = f" in the database {self.database}" if self.database else ""
        return f"{self.kind} {self.name}{where}"


@dataclass(frozen=True, slots=True)
class Ties:
    """All that was found, and the databases into which nobody could look, with the reason."""

    found: tuple[Tie, ...]
    unseen: tuple[str, ...] = ()

    def of(self, kind: str) -> tuple[Tie, ...]:
        """Return those of one kind."""
        return tuple(tie for tie in self.found if tie.kind == kind)


def ties_of(ports: RecoveryPorts, admin: Session, name: str) -> Ties:
    """Look for everything on the server that names a database: slots, subscriptions, jobs and links of other databases.

    Consumers that are not on this server (change data capture reads a slot; pools and jobs elsewhere) cannot be seen.
    """
    found = [Tie(row["kind"], row["name"]) for row in admin.rows(load_sql("recovery/ties"), {"name": name})]
    unseen = []
    for row in admin.rows(load_sql("recovery/databases")):
        database = str(row["name"])
        if database == name:
            continue
        try:
            with ports.session(database) as session:
                found += [
                    Tie("foreign server", server["name"], database)
                    for server in session.rows(load_sql("recovery/foreign_servers"), {"name": name})
                ]
                if session.rows(load_sql("recovery/has_cron"))[0]["has_cron"]:
                    jobs = session.rows(load_sql("recovery/cron_jobs"), {"name": name})
                    found += [Tie("cron job", job["name"], database) for job in jobs]
        except (AccessDeniedError, BusyError, InputError) as error:
            unseen.append(f"{database}: {error}")
    return Ties(tuple(found), tuple(unseen))


def refuse_what_cannot_move(ties: Ties, name: str, *, slots_accepted: bool) -> None:
    """Refuse to exchange names under a prepared transaction, or under a slot that nobody accepted to lose.

    Raises:
        InputError: it says what to do about it.
    """
    if prepared := ties.of(PREPARED):
        raise InputError(
            f"The database {name} has the {prepared[0]}; commit it or roll it back, since no database with one can be "
            "renamed."
        )
    if (slots := ties.of(SLOT)) and not slots_accepted:
        raise InputError(
            f"The {slots[0]} reads the database {name} and will not read the restored one; tick «slots» to accept that "
            "its consumers start over, or drop it."
        )

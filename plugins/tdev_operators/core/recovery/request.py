"""What a person asks of a restore, in the form or on the command line."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from tdev_operators.core.errors import InputError

DatabaseInto = Literal["beside", "live", "none"]
BucketsInto = Literal["live", "scratch"]

_NOT_IN_IDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """One restore. `recovery_id` is the same in every try of it.

    `which` is a set (see `choose_set`), `unproven` accepts one that is not PROVEN. `database` says where it goes:
    beside the live one under `new_name`, in the live one's place, or nowhere; `tables` restores only some. `buckets`
    are restored into the live buckets or below a scratch prefix of the backups bucket. For the live database `slots`
    accepts that replication slots start over, `no_safety_set` that the renamed original is the only safety copy.
    """

    recovery_id: str
    requested_by: str = ""
    which: str = ""
    unproven: bool = False
    database: DatabaseInto = "beside"
    source: str = ""
    new_name: str = ""
    tables: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    buckets_into: BucketsInto = "live"
    overwrite_newer: bool = False
    remove_surplus: bool = False
    slots: bool = False
    no_safety_set: bool = False

    def __post_init__(self) -> None:
        if self.database == "none" and not self.buckets:
            raise InputError("Nothing is to be restored; choose the database, or at least one bucket.")
        if self.database == "live" and self.tables:
            raise InputError(
                "Some tables cannot take the place of the live database; restore them beside it, and copy the rows."
            )
        if self.database == "live" and self.new_name:
            raise InputError("A restore of the live database names the new one by itself; leave its name empty.")
        if self.database == "none" and (self.tables or self.new_name):
            raise InputError("Tables or a name were given and no database is restored; choose «beside», or empty them.")

    @property
    def replaces_live(self) -> bool:
        """Whether the live database is replaced: that needs two approvals."""
        return self.database == "live"

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "tables": list(self.tables), "buckets": list(self.buckets)}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `facts` said."""
        known = {field.name for field in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in facts.items() if name in known
        }
        return cls(**given)


def recovery_id_of(kind: str, run_id: str) -> str:
    """Return the name of a recovery: what Airflow calls the run, in letters that stand in keys and comments."""
    return f"{kind}-{_NOT_IN_IDS.sub('-', run_id.lower()).strip('-')}"[:100].rstrip("-")

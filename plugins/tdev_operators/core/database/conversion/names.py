"""How everything is called that a conversion makes: by the table's own name, so that a retry finds it again."""

from dataclasses import dataclass

from tdev_operators.core.backup.database.names import distinct
from tdev_operators.core.database.retention.settings import RetentionRule

# include/sql knows them: a retention that meets them goes on.
ROW_TRIGGER, TRUNCATE_TRIGGER, GUARD = "tdev_note_changes", "tdev_note_truncate", "tdev_note_exchange"
_NEW, _OLD = "_partitioned", "_before_partitions"


@dataclass(frozen=True, slots=True)
class Names:
    """The names around one table. `changes` is where its changes are noted, by the trigger function `note`."""

    schema: str
    table: str

    @classmethod
    def of(cls, rule: RetentionRule) -> "Names":
        """Return the names for the table of a rule."""
        return cls(rule.in_schema, rule.table)

    @property
    def title(self) -> str:
        """The table's schema and name."""
        return f"{self.schema}.{self.table}"

    @property
    def new(self) -> str:
        """The partitioned table, until it takes the table's place."""
        return new_name(self.table)

    @property
    def old(self) -> str:
        """The former table, once it was replaced."""
        return old_name(self.table)

    @property
    def changes(self) -> str:
        """Where the keys of changed rows are noted."""
        return distinct(self.table, "_tdev_changes")

    @property
    def note(self) -> str:
        """The trigger function that notes them."""
        return distinct(self.table, "_tdev_note")


def new_name(name: str) -> str:
    """Return what a part of the partitioned table (an index, a sequence) is called until it takes the place."""
    return distinct(name, _NEW)


def old_name(name: str) -> str:
    """Return what a part of the former table is called once it was replaced."""
    return distinct(name, _OLD)

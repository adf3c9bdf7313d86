"""The statements by which everything beside a table is made, and taken away again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed

from tdev_operators.core.database.conversion.layout import Part
from tdev_operators.core.database.conversion.names import GUARD, ROW_TRIGGER, TRUNCATE_TRIGGER, Names
from tdev_operators.core.database.retention.ahead import LIKE, with_options
from tdev_operators.core.database.retention.columns import Column, name_of
from tdev_operators.core.database.retention.statements import moment_text, text_of


@dataclass(frozen=True, slots=True)
class Making:
    """What is made beside a table, and taken away again."""

    names: Names
    columns: tuple[Column, ...]
    keys: tuple[Column, ...]
    by: str
    time: Column

    def new(self, old: tuple[str, str], primary: str) -> Composed:
        """Make the partitioned table, with all that the old one says of its columns."""
        return SQL(
            "-- the partitioned table\nCREATE TABLE {} (LIKE {} {} INCLUDING IDENTITY INCLUDING COMMENTS, CONSTRAINT {}"
            " PRIMARY KEY ({})) PARTITION BY LIST ({})"
        ).format(
            name_of(self.names.schema, self.names.new),
            name_of(*old),
            LIKE,
            name_of(primary),
            _listed(self.keys),
            name_of(self.by),
        )

    def part(self, part: Part, options: Sequence[Mapping[str, str]]) -> Composed:
        """Make one partition."""
        below: Composable = SQL("")
        if part.values:
            bound: Composable = SQL("FOR VALUES IN ({})").format(SQL(", ").join(text_of(one) for one in part.values))
            below = SQL(" PARTITION BY RANGE ({})").format(name_of(self.time.name))
        elif part.span:
            start, end = (moment_text(self.time.base, at) for at in (part.span.start, part.span.end))
            bound = SQL("FOR VALUES FROM ({}) TO ({})").format(start, end)
        else:
            bound = SQL("DEFAULT")
        return SQL("-- a partition\nCREATE TABLE {} PARTITION OF {} {}{}{}").format(
            name_of(self.names.schema, part.name),
            name_of(self.names.schema, part.parent),
            bound,
            below,
            SQL("") if part.values else with_options(options),
        )

    def changes(self) -> Composed:
        """Make the table of notes: a line a changed row, its key; a line without a key when all rows went."""
        keys = [SQL("{} {}").format(name_of(f"k{at}"), _kind(key)) for at, key in enumerate(self.keys)]
        return SQL(
            "-- where changes are noted\nCREATE TABLE {} (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {})"
        ).format(self._changes, SQL(", ").join(keys))

    def note(self) -> Composed:
        """Make the function that notes a change: with the owner's rights, whoever changes the row.

        It can hardly fail, so that the application's writes do not: it adds a line, and that is all. As the guard of an
        exchange it refuses a writer whose snapshot is older, and who could not see what came last, with the error after
        which such a transaction (REPEATABLE READ, SERIALIZABLE) is to be tried again.
        """
        into = SQL("INSERT INTO {} ({}) VALUES").format(self._changes, self._marks())
        body = SQL(
            "BEGIN IF TG_WHEN = 'BEFORE' THEN"
            " IF NOT pg_visible_in_snapshot(TG_ARGV[0]::xid8, pg_current_snapshot()) THEN"
            " RAISE EXCEPTION 'could not serialize access: the table was exchanged meanwhile'"
            " USING ERRCODE = 'serialization_failure'; END IF; RETURN NULL; END IF;"
            " IF TG_OP = 'TRUNCATE' THEN INSERT INTO {changes} DEFAULT VALUES; RETURN NULL; END IF;"
            " IF TG_OP <> 'INSERT' THEN {into} ({old}); END IF;"
            " IF TG_OP <> 'DELETE' THEN {into} ({new}); END IF; RETURN NULL; END"
        ).format(changes=self._changes, into=into, old=self._fields("OLD"), new=self._fields("NEW"))
        return SQL(
            "-- notes which rows change\nCREATE FUNCTION {} () RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            " SET search_path = pg_catalog, pg_temp AS {}"
        ).format(self._note, text_of(body.as_string().replace("%%", "%")))

    def note_is_ours(self) -> Composed:
        """Let nobody else put the function on a table of his own."""
        return SQL("-- nobody else's\nREVOKE ALL ON FUNCTION {} () FROM PUBLIC").format(self._note)

    def guard(self, table: str, xid: str) -> tuple[Composed, Composed]:
        """Refuse writers whose snapshot is older than the transaction `xid`, which exchanged the tables."""
        on = name_of(self.names.schema, table)
        made = SQL(
            "-- nobody writes by an old snapshot\nCREATE TRIGGER {} BEFORE INSERT OR UPDATE OR DELETE ON {}"
            " FOR EACH STATEMENT EXECUTE FUNCTION {} ({})"
        ).format(name_of(GUARD), on, self._note, text_of(xid))
        return made, _always(on, GUARD)

    def triggers(self, source: str) -> tuple[Composed, ...]:
        """Note the changes of a table from now on, also those of a replica's role (ENABLE ALWAYS)."""
        table = name_of(self.names.schema, source)
        made = (
            SQL(
                "-- changes are noted from now on\nCREATE TRIGGER {} AFTER INSERT OR UPDATE OR DELETE ON {}"
                " FOR EACH ROW EXECUTE FUNCTION {} ()"
            ).format(name_of(ROW_TRIGGER), table, self._note),
            SQL(
                "-- and that all rows went\nCREATE TRIGGER {} AFTER TRUNCATE ON {} FOR EACH STATEMENT"
                " EXECUTE FUNCTION {} ()"
            ).format(name_of(TRUNCATE_TRIGGER), table, self._note),
        )
        return (*made, _always(table, ROW_TRIGGER), _always(table, TRUNCATE_TRIGGER))

    def no_triggers(self, source: str) -> tuple[Composed, ...]:
        """Note them no more."""
        return tuple(
            SQL("-- changes are noted no more\nDROP TRIGGER IF EXISTS {} ON {}").format(
                name_of(trigger), name_of(self.names.schema, source)
            )
            for trigger in (ROW_TRIGGER, TRUNCATE_TRIGGER, GUARD)
        )

    def remark(self, text: str) -> Composed:
        """Write down how far it is, where the notes stand."""
        return SQL("-- how far it is\nCOMMENT ON TABLE {} IS {}").format(self._changes, text_of(text))

    def gone(self, table: str) -> tuple[Composed, ...]:
        """Drop a table, the notes, and the function."""
        return (
            SQL("-- a table goes\nDROP TABLE IF EXISTS {}").format(name_of(self.names.schema, table)),
            SQL("-- the notes go\nDROP TABLE IF EXISTS {}").format(self._changes),
            SQL("-- nothing is noted any more\nDROP FUNCTION IF EXISTS {} ()").format(self._note),
        )

    @property
    def _changes(self) -> SQL:
        return name_of(self.names.schema, self.names.changes)

    @property
    def _note(self) -> SQL:
        return name_of(self.names.schema, self.names.note)

    def _marks(self) -> Composed:
        return SQL(", ").join(name_of(f"k{at}") for at in range(len(self.keys)))

    def _fields(self, row: str) -> Composed:
        return SQL(", ").join(SQL("{}.{}").format(SQL(row), name_of(key.name)) for key in self.keys)


def _always(table: SQL, trigger: str) -> Composed:
    return SQL("-- whatever session_replication_role is\nALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(
        table, name_of(trigger)
    )


def _kind(column: Column) -> SQL:
    return SQL(column.type.replace("%", "%%"))  # format_type's words


def _listed(columns: Sequence[Column]) -> Composed:
    return SQL(", ").join(name_of(column.name) for column in columns)

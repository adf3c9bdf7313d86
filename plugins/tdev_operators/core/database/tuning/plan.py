"""What is to be changed, decided once and noted first: a retry does what was approved, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from tdev_operators.core.database.tuning.reading import Seen
from tdev_operators.core.database.tuning.settings import TuningSettings
from tdev_operators.core.database.tuning.statements import alter_system_text, elsewhere
from tdev_operators.core.database.tuning.triangle import Row, State
from tdev_operators.core.database.tuning.units import LISTS, same_words, split_list, written
from tdev_operators.core.errors import InputError
from tdev_operators.core.recovery.journal import Journal

Kind = Literal["reload", "restart", "application"]
SET = "set "  # the journal's step of a setting; its name follows


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """What a person asks for. `names` empty: everything that differs, of the kinds that are ticked.

    `undo` names a former run, whose changes are taken back; `now` allows a restart outside the maintenance window.
    """

    tuning_id: str
    requested_by: str = ""
    names: tuple[str, ...] = ()
    reload: bool = True
    restart: bool = False
    application: bool = False
    undo: str = ""
    now: bool = False
    dry_run: bool = True

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that are ticked."""
        ticked: tuple[tuple[Kind, bool], ...] = (
            ("reload", self.reload),
            ("restart", self.restart),
            ("application", self.application),
        )
        return tuple(kind for kind, wanted in ticked if wanted)


@dataclass(frozen=True, slots=True)
class Change:
    """One setting. `value` goes into postgresql.auto.conf, None takes it out; `former` is what stood there.

    `before` is what ran (in base units, for people as `before_shown`). Of the application, `value` and `former` are
    JSON values. `undoes` is the step of the former run that this takes back.
    """

    name: str
    kind: Kind
    value: Any
    former: Any
    before: str = ""
    before_shown: str = ""

    @property
    def step(self) -> str:
        """Its step in the journal."""
        return f"{SET}{self.name}" if self.kind != "application" else f"{SET}application.{self.name}"

    @property
    def told(self) -> str:
        """The statement, or the request, as it is made."""
        if self.kind == "application":
            return f"application: {self.name} = {self.value} (now {self.former})"
        return f"{alter_system_text(self.name, self.value)}  -- {self.before_shown} runs; {self._way_back}"

    @property
    def _way_back(self) -> str:
        return f"way back: {alter_system_text(self.name, self.former)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of one run, and what is left out with the reason."""

    changes: tuple[Change, ...] = ()
    left_out: tuple[str, ...] = ()
    undo: str = ""

    def of(self, *kinds: Kind) -> list[Change]:
        """Return the changes of these kinds."""
        return [change for change in self.changes if change.kind in kinds]

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "changes": [asdict(change) for change in self.changes],
            "left_out": list(self.left_out),
            "undo": self.undo,
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `facts` said."""
        changes = tuple(Change(**change) for change in facts["changes"])
        return cls(changes, tuple(facts["left_out"]), facts["undo"])


def forward(
    request: TuningRequest, settings: TuningSettings, rows: Sequence[Row], seen: Seen, application: Mapping[str, Any]
) -> Plan:
    """Return the changes that bring what was asked for to what is recommended.

    `application` is its configuration; empty when it was not asked.

    Raises:
        InputError: a name is not in the settings, or cannot be changed in this way.
    """
    named = {name.lower() for name in request.names}
    known = {row.name.lower() for row in rows} | {key.lower() for key in settings.application}
    if strangers := sorted(named - known):
        raise InputError(
            f"{', '.join(strangers)} is in neither [tuning.database] nor [tuning.application]; correct the names."
        )
    changes: list[Change] = []
    left_out: list[str] = []
    for row in rows:
        if named and row.name.lower() not in named:
            continue
        # What runs already and only the files say otherwise needs no restart.
        restarts = row.setting is not None and row.setting.needs_restart and row.state is not State.FADES
        kind: Kind = "restart" if restarts else "reload"
        if why := _obstacle(row):
            if named:
                raise InputError(why)
            left_out.append(why)
        elif row.needs_change and kind not in request.kinds:
            left_out.append(f"{row.name} differs and is of the kind {kind!r}, which was not asked for.")
        elif row.needs_change:
            value = _or_none(row.name, written(settings.database[_spelt(settings, row.name)]))
            runs = row.shown(row.running)
            # One that waits in the file already: the way back is what runs, not what waits.
            former = _or_none(row.name, runs) if row.state is State.RESTART else seen.in_auto(row.name)
            changes.append(Change(row.name, kind, value, former, row.running, runs or "-"))
    changes += _of_application(request, settings, application, named)
    return Plan(tuple(changes), tuple(left_out))


def backward(former: Journal, seen: Seen, application: Mapping[str, Any]) -> Plan:
    """Return the changes that take a former run back, as far as they are still what it made.

    Raises:
        InputError: there is no such run, or somebody has changed a value since.
    """
    begun = former.done("plan")
    if begun is None:
        raise InputError(
            f"There is no run {former.recovery_id} that changed anything; give the id that its report says."
        )
    changes: list[Change] = []
    for done in Plan.of_facts(begun).changes:
        entry = former.last(done.step)
        if entry is None or entry.event == "undone":
            continue
        now = application.get(done.name) if done.kind == "application" else seen.in_auto(done.name)
        as_before = now == done.former if done.kind == "application" else same_words(done.name, now, done.former)
        as_made = now == done.value if done.kind == "application" else same_words(done.name, now, done.value)
        if as_before and entry.event != "done":
            continue  # it was killed before it came to that
        if not as_before and not as_made:
            raise InputError(
                f"{done.name} is {now!r} by now, and not the {done.value!r} of {former.recovery_id}; somebody has "
                "changed it since, so take it back by hand."
            )
        running = seen.running.get(done.name.lower())
        shown = running.setting if running else ""
        changes.append(Change(done.name, done.kind, done.former, now, shown, shown))
    return Plan(tuple(changes), (), former.recovery_id)


def printed(plan: Plan, rows: Sequence[Row], owner: str) -> list[str]:
    """Return the plan line by line: what is done in order, and what is not; with an `owner`, what that one does."""
    wants_restart = {row.name for row in rows if row.setting and row.setting.needs_restart}
    if owner:
        database = [
            elsewhere(owner, change.name, str(change.value), needs_restart=change.name in wants_restart)
            for change in plan.of("reload", "restart")
        ]
    else:
        database = [change.told for change in plan.of("reload")]
        database += ["SELECT pg_reload_conf();"] if database else []
        if restart := plan.of("restart"):
            database += [change.told for change in restart]
            database.append("restart of the database's service; the former file is put back when it does not come up")
    application = [change.told for change in plan.of("application")]
    return [*database, *application, *(f"left out: {said}" for said in plan.left_out)]


def _obstacle(row: Row) -> str:
    match row.state:
        case State.REFUSED | State.HIDDEN:
            return row.why
        case State.OVERRIDDEN:
            return (
                f"{row.name} is decided by ALTER ROLE or ALTER DATABASE; RESET it there (the weekly report says where)."
            )
        case State.FIXED:
            return f"{row.name} stands on the server's command line, which goes before its files; change it there."
        case _:
            return ""


def _or_none(name: str, text: str) -> str | None:
    """Return a text for postgresql.auto.conf; an empty list is no line there."""
    return None if name.lower() in LISTS and not split_list(text) else text


def _spelt(settings: TuningSettings, name: str) -> str:
    return next(key for key in settings.database if key.lower() == name.lower())


def _of_application(
    request: TuningRequest, settings: TuningSettings, application: Mapping[str, Any], named: set[str]
) -> list[Change]:
    if not request.application:
        return []
    wanted = {
        key: value for key, value in settings.application.items() if key in application and application[key] != value
    }
    return [
        Change(key, "application", value, application[key])
        for key, value in wanted.items()
        if not named or key.lower() in named
    ]

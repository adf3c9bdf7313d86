"""The triangle of a setting: recommended, in the file, running. Pure; `told` makes results of it."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tdev_operators.core.database.tuning.reading import FileLine, Running, Seen
from tdev_operators.core.database.tuning.units import Value, in_base_units, readable, same
from tdev_operators.core.errors import InputError

_NOT_APPLIED = "setting could not be applied"  # said of a bad value, and of a good one that waits for a restart


class State(StrEnum):
    """How the three corners stand to each other."""

    SAME = "as recommended"
    DRIFT = "differs"
    RELOAD = "waits for a reload"
    RESTART = "waits for a restart"
    FADES = "runs, but the file says otherwise"
    OVERRIDDEN = "overridden by ALTER ROLE or ALTER DATABASE"
    FIXED = "fixed on the server's command line"
    HIDDEN = "cannot be seen"
    REFUSED = "cannot be"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. Values are in base units; `filed` is None where no file names it or no file may be read.

    `why` completes REFUSED and HIDDEN into a sentence. `line` is the line that counts.
    """

    name: str
    recommended: str
    running: str
    filed: str | None
    state: State
    setting: Running | None = None
    line: FileLine | None = None
    superseded: tuple[FileLine, ...] = ()
    why: str = ""

    @property
    def needs_change(self) -> bool:
        """Whether ALTER SYSTEM, a reload or a restart would make it what is recommended."""
        return self.state in (State.DRIFT, State.RELOAD, State.RESTART, State.FADES)

    def shown(self, setting: str | None) -> str:
        """Return a value in base units as people write it."""
        if setting is None:
            return "-"
        return readable(self.setting.kind, setting) if self.setting and setting else setting


def rows_of(recommended: Mapping[str, Value], seen: Seen) -> list[Row]:
    """Return the triangle of every recommended setting, in the order of the settings file."""
    return [_row(name, value, seen) for name, value in recommended.items()]


def bad_lines(seen: Seen) -> list[FileLine]:
    """Return the lines with which the server would not start, or that it ignores. One that waits is not among them."""
    return [line for line in seen.lines or () if line.error and not _only_waits(line, seen.running)]


def superseded_lines(name: str, seen: Seen) -> tuple[FileLine, ...]:
    """Return the good lines about a setting that a later one makes void."""
    lines = seen.lines_of(name)
    return tuple(line for line in lines[:-1] if not line.error or _only_waits(line, seen.running))


def _row(name: str, value: Value, seen: Seen) -> Row:
    setting = seen.running.get(name.lower())
    if setting is None:
        return Row(name, str(value), "", None, State.REFUSED, why=_unknown(name, seen))
    try:
        wanted = in_base_units(setting.kind, value)
    except InputError as error:
        return Row(setting.name, str(value), setting.setting, None, State.REFUSED, setting, why=str(error))
    if setting.context == "internal":
        why = f"{setting.name} cannot be set; it was decided when the server was made."
        return Row(setting.name, wanted, setting.setting, None, State.REFUSED, setting, why=why)
    line, filed = counting_line(setting, seen)
    running, state, why = setting.setting, State.SAME, ""
    if setting.is_ours:
        # Our session brought a value of its own; what others get is the file's, or what the server was built with.
        running = filed if filed is not None else setting.boot
        if seen.lines is None:
            return Row(setting.name, wanted, "", None, State.HIDDEN, setting, why=_hidden(setting))
    if same(setting.kind, running, wanted):
        rests_on_file = seen.lines is not None and not setting.is_fixed and not setting.is_overridden
        kept = filed if filed is not None else setting.boot
        state = State.FADES if rests_on_file and not same(setting.kind, kept, wanted) else State.SAME
    elif setting.is_overridden:
        state = State.OVERRIDDEN
    elif setting.is_fixed:
        state = State.FIXED
    elif filed is not None and same(setting.kind, filed, wanted):
        state = State.RESTART if setting.needs_restart else State.RELOAD
    else:
        state = State.DRIFT
    superseded = superseded_lines(setting.name, seen)
    return Row(setting.name, wanted, running, filed, state, setting, line, superseded, why)


def counting_line(setting: Running, seen: Seen) -> tuple[FileLine | None, str | None]:
    """Return the line that counts after a restart, and its value in base units; a bad line counts for nothing."""
    for line in reversed(seen.lines_of(setting.name)):
        try:
            return line, in_base_units(setting.kind, line.setting)
        except InputError:
            continue
    return None, None


def _only_waits(line: FileLine, running: Mapping[str, Running]) -> bool:
    """Whether a line that `could not be applied` is a good one, for a server that has to be restarted first."""
    setting = running.get(line.name.lower())
    if line.error != _NOT_APPLIED or setting is None or not setting.needs_restart:
        return False
    try:
        in_base_units(setting.kind, line.setting)
    except InputError:
        return False
    return True


def _unknown(name: str, seen: Seen) -> str:
    close = difflib.get_close_matches(name.lower(), list(seen.running), n=1)
    meant = f"did you mean {close[0]}?" if close else "correct its name in [tuning.database], or remove it."
    return f"PostgreSQL {seen.server.major} has no setting {name}; {meant}"


def _hidden(setting: Running) -> str:
    return f"our own session brings a value of {setting.name} with it, and the files may not be read"

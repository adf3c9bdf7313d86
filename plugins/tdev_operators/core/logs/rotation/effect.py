"""Whether logs are really rotated, by what lies in the folder: no exit status and no configuration is believed.

Looked at on each host: how old the oldest line of each log is, whether older ones are packed and whole, how many there
are, mode and owner of the current one, and whether its writer still writes into the one that was renamed.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from tdev_operators.core.errors import InputError, TdevError, sentence_of
from tdev_operators.core.health.findings import some
from tdev_operators.core.health.log_lines import line_time, listed
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.logs.check_names import ROTATION
from tdev_operators.core.logs.rotation.configuration import text_of
from tdev_operators.core.logs.settings import LogRotation
from tdev_operators.core.ports import Clock, Host
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted, span
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

_AT_ONCE = 16
_SECONDS = 20.0
_PERIODS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=31),
}
# logrotate runs once a day, somewhat later each time that the machine was asleep.
_SLACK = timedelta(hours=6)
# Between the rename and the reload a writer goes on for a moment; after that it shall not.
_RELOADED = timedelta(minutes=2)
_HEAD_BYTES, _TAIL_BYTES = 200, 4096
_PACKED_TESTED = 2
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.MULTILINE)
_GENERATION = re.compile(r"(?P<family>.+\.log)\.(?P<number>\d+)(?P<packed>\.gz)?")
_HINT = (
    "Start `tdev_install_log_rotation` with *Prove*: it says what logrotate makes of its configuration. A writer that "
    "stays in the old log has to open its log anew when it is reloaded."
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lying:
    """A file of the folder. `number` is that of its generation; 0 is the current one."""

    path: str
    family: str
    number: int
    packed: bool
    bytes: int
    changed: datetime
    mode: int
    user: str
    group: str
    inode: int = 0

    @property
    def name(self) -> str:
        """Its name as it can be shown."""
        return one_line(self.path.rpartition("/")[2], 100)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be."""

    verdict: Verdict
    sentence: str


def lying_in(host: Host, directory: str) -> list[Lying]:
    """Return the logs of a folder and their generations.

    Raises:
        InputError: it cannot be read, or holds too many logs; and what `Host.run` and `listed` raise.
    """
    argv = ["find", f"{directory.rstrip('/')}/", "-maxdepth", "1", "-type", "f", "-name", "*.log*", "!", "-name", ".*"]
    # Groups of a directory service have blanks in their names: "domain users".
    ended = host.run([*argv, "-printf", r"%T@\0%s\0%m\0%i\0%u\0%g\0%p\0"], timeout_seconds=_SECONDS)
    if ended.exit_status != 0:
        said = (ended.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        raise InputError(f"The log folder {directory} of {host.name} cannot be read: {said.rstrip('.')}.")
    found = []
    for changed, size, mode, inode, user, group, path in listed(ended, 7, f"the log folder {directory} of {host.name}"):
        if not path.isprintable():
            continue  # told by who reads the logs
        name = path.rpartition("/")[2]
        match = _GENERATION.fullmatch(name)
        if match is None and not name.endswith(".log"):
            continue
        family, number, packed = (
            (match["family"], int(match["number"]), bool(match["packed"])) if match else (name, 0, False)
        )
        moment = datetime.fromtimestamp(float(changed), UTC)
        found.append(Lying(path, family, number, packed, int(size), moment, int(mode, 8), user, group, int(inode)))
    return found


def look_at(host: Host, directory: str, rules: LogRotation, now: datetime) -> tuple[list[str], list[Fault]]:
    """Return the names of the logs of a host, and what is wrong with their rotation.

    Raises:
        InputError: the folder cannot be read, or holds no log; and what `Host.run` raises.
    """
    files = lying_in(host, directory)
    families: dict[str, list[Lying]] = {}
    for file in files:
        families.setdefault(file.family, []).append(file)
    current = {file.family: file for file in files if file.number == 0}
    if not current:
        raise InputError(f"The log folder {directory} of {host.name} holds no log; check [logs] directory.")
    faults = [fault for file in current.values() for fault in _of_current(host, file, rules, now)]
    for family, all_of_it in families.items():
        older = sorted((file for file in all_of_it if file.number), key=lambda file: file.number)
        faults += _of_generations(host, current.get(family), older, rules)
    return [file.name for file in current.values()], faults


def _of_current(host: Host, file: Lying, rules: LogRotation, now: datetime) -> list[Fault]:
    faults = []
    wanted = (rules.mode, rules.create_user, rules.create_group)
    if (file.mode, file.user, file.group) != wanted:
        verdict = Verdict.CRITICAL if file.mode & 0o002 else Verdict.WARNING
        has = f"{file.mode:04o} {file.user} {file.group}"
        sentence = f"{file.name} on {host.name} is {has} instead of {wanted[0]:04o} {wanted[1]} {wanted[2]}."
        faults.append(Fault(verdict, sentence))
    oldest = _oldest_line(host, file) if file.bytes else None
    limit = 2 * _PERIODS[rules.every] + _SLACK
    if oldest is not None and now - oldest > limit:
        age = span((now - oldest).total_seconds())
        faults.append(
            Fault(
                Verdict.CRITICAL,
                f"{file.name} on {host.name} holds lines that are {age} old: it is not rotated {rules.every}.",
            )
        )
    return faults


def _of_generations(host: Host, current: Lying | None, older: Sequence[Lying], rules: LogRotation) -> list[Fault]:
    faults = []
    if len(older) > rules.rotate:
        name = f"{older[-1].family} on {host.name}"
        faults.append(Fault(Verdict.WARNING, f"{name} has {len(older)} generations, more than {rules.rotate}."))
    if rules.compress:
        plain_until = 1 if rules.delaycompress else 0
        plain = [file for file in older if file.number > plain_until and not file.packed and file.bytes]
        if plain:
            faults.append(Fault(Verdict.WARNING, f"Not packed on {host.name}: {some([file.name for file in plain])}."))
    for file in [file for file in older if file.packed][:_PACKED_TESTED]:
        ended = host.run(["gzip", "-t", "--", file.path], timeout_seconds=_SECONDS * 3)
        if ended.exit_status != 0:
            faults.append(Fault(Verdict.CRITICAL, f"{file.name} on {host.name} is damaged: {_said(ended.stderr)}."))
    first = next((file for file in older if file.number == 1 and not file.packed and file.bytes), None)
    if current is not None and first is not None and (fault := still_writes(host, current, first)):
        faults.append(fault)
    return faults


def still_writes(host: Host, current: Lying, first: Lying) -> Fault | None:
    """Say whether a writer goes on in the log that was renamed: its newest line is younger than the new log."""
    newest = _newest_line(host, first) or first.changed
    began = (_oldest_line(host, current) if current.bytes else None) or current.changed
    if newest <= began + _RELOADED:
        return None
    return Fault(
        Verdict.CRITICAL,
        f"Somebody still writes into {first.name} on {host.name} (last at {newest:%H:%M:%S}), although {current.name} "
        f"is there since {began:%H:%M:%S} at least: the reload does not reach its writer, and what it writes will be "
        "deleted with that file.",
    )


def _oldest_line(host: Host, file: Lying) -> datetime | None:
    return _stamp(host.run(["head", "-c", str(_HEAD_BYTES), "--", file.path], timeout_seconds=_SECONDS).stdout, at=0)


def _newest_line(host: Host, file: Lying) -> datetime | None:
    return _stamp(host.run(["tail", "-c", str(_TAIL_BYTES), "--", file.path], timeout_seconds=_SECONDS).stdout, at=-1)


def _stamp(text: str, *, at: int) -> datetime | None:
    stamps = _STAMP.findall(text)
    return line_time(stamps[at].replace(" ", "T")) if stamps else None


def _said(stderr: str) -> str:
    return (stderr.strip().splitlines() or ["no reason given"])[-1][:200].rstrip(".")


def rotation_result(hosts: Mapping[str, Host], settings: Settings, clock: Clock) -> CheckResult:
    """Look at every host, and say whether its logs are rotated as the settings have it. Changes nothing."""
    rules, directory, now = settings.logs.rotation, settings.logs.directory, clock()
    names = [entry.name for entry in settings.hosts]

    def look(name: str) -> tuple[list[str], list[Fault]] | str:
        try:
            host = hosts[name]
            logs, faults = look_at(host, directory, rules, now)
            return logs, [*faults, *_of_configuration(host, directory, rules)]
        except TdevError:
            raise
        except Exception as error:  # noqa: BLE001  the boundary: one odd host hides no other
            return sentence_of(error, f"looking at {name}", _log)

    answers = side_by_side({name: partial(look, name) for name in names}, at_most=_AT_ONCE)
    seen: list[str] = []
    skipped: dict[str, str] = {}
    faults: list[Fault] = []
    for name, answer in answers.items():
        if isinstance(answer, TdevError | str):
            skipped[name] = str(answer)
            continue
        logs, found = answer
        seen += [f"{name}: {log}" for log in logs]
        faults += found
    faults.sort(key=lambda fault: -fault.verdict.badness)
    ok = f"{counted(len(seen), 'log')} rotated {rules.every}, packed and whole; each writer writes into the new one."
    shown = " ".join(fault.sentence for fault in faults[:4])
    return CheckResult(
        ROTATION,
        worst([Verdict.OK, *(fault.verdict for fault in faults)]),
        shown or ok,
        measurements=(Measurement("logs", len(seen), "logs"), Measurement("faults", len(faults), "faults")),
        hint=_HINT,
        coverage=Coverage(seen=tuple(seen), skipped=skipped),
        details=tuple(fault.sentence for fault in faults[4:40]),
    )


def _of_configuration(host: Host, directory: str, rules: LogRotation) -> list[Fault]:
    """Say whether the configuration on a host is the settings' own; its effect is looked at by itself."""
    ended = host.run(["cat", "--", rules.file], timeout_seconds=_SECONDS)
    if ended.exit_status != 0:
        return [Fault(Verdict.WARNING, f"{rules.file} on {host.name} cannot be read: {_said(ended.stderr)}.")]
    if ended.stdout != text_of(directory, rules):
        return [Fault(Verdict.WARNING, f"{rules.file} on {host.name} is not what [logs.rotation] says.")]
    return []

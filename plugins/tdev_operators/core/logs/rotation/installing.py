"""Putting the configuration on a host: tried beside, moved into place, proven, and taken back where it cannot be.

What lies beside ends as packages of Debian end theirs: logrotate passes over such files. A try that was killed leaves
them at most. One of them says that what is in place is not proven yet: the next try proves it, or takes it back.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tdev_operators.core.errors import CommandFailedError, ProofFailedError
from tdev_operators.core.logs.rotation.configuration import complaints_of, is_considered, text_of
from tdev_operators.core.logs.rotation.effect import Lying, lying_in
from tdev_operators.core.logs.rotation.holders import Sizes, held_by, moved_on, sizes_of
from tdev_operators.core.logs.settings import LogRotation
from tdev_operators.core.ports import CommandOutput, Host

_CANDIDATE, _FORMER, _UNPROVEN = ".dpkg-new", ".dpkg-old", ".dpkg-tmp"
_NONE = "none"
_MODE, _OWNER = "0644", "root"
_POLL_SECONDS = 0.5
_RELOAD_SECONDS = 15.0
_COMPLAINTS = 3


@dataclass(slots=True)
class Done:
    """What became of a host: `changed` whether its configuration is another one now, and what there is to say."""

    host: str
    changed: bool = False
    told: list[str] = field(default_factory=list)


class Installation:
    """The configuration of one host. `note` journals what touches it, before it does."""

    def __init__(
        self,
        host: Host,
        directory: str,
        rules: LogRotation,
        *,
        note: Callable[[str, Mapping[str, Any]], None],
        progress: Callable[[str], object],
        check: Callable[[], None],
    ) -> None:
        """Name things; nothing is touched.

        Raises:
            InputError: the folder's name means something else to logrotate.
        """
        self._host, self._directory, self._rules = host, directory, rules
        self._text = text_of(directory, rules)
        self._note, self._progress, self._check = note, progress, check

    def try_out(self) -> Done:
        """Say what logrotate makes of the configuration, and what would change. Only the candidate is written.

        Raises:
            ProofFailedError: logrotate refuses it. TdevError: the host is away, or rights are missing.
        """
        done = Done(self._host.name)
        now = self._current()
        try:
            said = self._candidate()
        finally:
            self._run(["rm", "-f", self._rules.file + _CANDIDATE])
        considered = [line.strip() for line in said.splitlines() if line.startswith("considering log")]
        state = {None: "it would be put there", self._text: "it is there already"}.get(
            now, "it would replace another one"
        )
        done.told.append(f"{self._host.name}: logrotate takes the configuration; {state}.")
        done.told += considered
        return done

    def carry_out(self) -> Done:
        """Put the configuration in place and prove that the host's own logrotate takes it.

        Raises:
            ProofFailedError: it does not, and the former one is back. TdevError: the host is away; try again.
        """
        done = Done(self._host.name)
        now = self._current()
        is_unproven, former = self._unproven(now)
        if now == self._text:
            why = self._fault()
            if why and is_unproven:
                self._go_back(former, why)
            if why:
                raise ProofFailedError(
                    f"{self._rules.file} on {self._host.name} is there, and yet {why}; the former one, if there was "
                    f"one, is {self._rules.file + _FORMER}."
                )
            self._run(["rm", "-f", self._rules.file + _CANDIDATE, self._rules.file + _UNPROVEN])
            done.told.append(f"{self._host.name}: it is there already, and the host's logrotate takes it.")
            return done
        self._candidate()
        self._check()
        file = self._rules.file
        facts = {
            "host": self._host.name,
            "file": file,
            "before": _digest(former),
            "after": _digest(self._text),
            "way_back": file + _FORMER if former is not None else "remove it: there was none",
        }
        self._note("log_rotation", facts)
        if former is not None and not is_unproven:
            self._must(["cp", "-pT", file, file + _FORMER])
        said = f"{_NONE if former is None else _digest(former)} {_digest(self._text)}\n"
        self._must(["install", "-m", _MODE, "/dev/stdin", file + _UNPROVEN], stdin=said)
        self._must(["mv", "-fT", file + _CANDIDATE, file])
        self._progress(f"{file} on {self._host.name} is in place")
        try:
            why = self._fault()
        except Exception as error:  # noqa: BLE001  raised again, when the former one is back
            # Whether logrotate takes it is not known: tonight it may rotate nothing.
            self._go_back(former, f"it could not be proven ({str(error).rstrip('.')})", error)
        if why:
            self._go_back(former, why)
        self._run(["rm", "-f", file + _UNPROVEN])
        done.changed = True
        done.told.append(f"{self._host.name}: {file} is in place, and the host's logrotate takes it.")
        return done

    def prove(self, *, seconds: float = _RELOAD_SECONDS) -> Done:
        """Rotate the logs of this configuration now, and look at what became of them.

        A log that is empty is not rotated. Each rotation takes the place of a generation: `rotate` of them are kept.

        Raises:
            ProofFailedError: a log was not rotated, has other rights, or its writer stays in the old one.
        """
        done = Done(self._host.name)
        before = self._logs()
        full = [log for log in before.values() if log.bytes]
        if not full:
            raise ProofFailedError(
                f"No log in {self._directory} on {self._host.name} holds a line: nothing can be proven."
            )
        self._note("log_rotation_forced", {"host": self._host.name, "logs": [log.path for log in full]})
        rules = self._rules
        ended = self._run([rules.program, "-f", "-v", "-s", rules.state, rules.file], seconds=rules.seconds)
        said = complaints_of(ended.stderr)
        if said or ended.exit_status != 0:
            raise ProofFailedError(f"logrotate on {self._host.name} says: {_some(said) or _last(ended)}")
        files = lying_in(self._host, self._directory)
        for log in full:
            self._prove_rotated(log, files)
        proven = self._prove_reloaded(full, seconds)
        done.told.append(
            f"{self._host.name}: {', '.join(log.name for log in full)} rotated: renamed, made anew with "
            f"{rules.create_mode} {rules.create_user} {rules.create_group}, and {proven}."
        )
        return done

    def _logs(self) -> dict[str, Lying]:
        return {file.path: file for file in lying_in(self._host, self._directory) if file.number == 0}

    def _prove_rotated(self, log: Lying, files: list[Lying]) -> None:
        rules, now = self._rules, {file.path: file for file in files}
        new, first = now.get(log.path), now.get(f"{log.path}.1") or now.get(f"{log.path}.1.gz")
        why = ""
        if new is None or new.inode == log.inode:
            why = "it is the same file still"
        elif first is None or (not first.packed and first.inode != log.inode):
            why = "its former text is not in the first generation"
        elif (new.mode, new.user, new.group) != (rules.mode, rules.create_user, rules.create_group):
            why = f"its new file is {new.mode:04o} {new.user} {new.group}"
        elif first.packed:
            ended = self._run(["gzip", "-t", "--", first.path], seconds=rules.seconds)
            why = f"{first.name} is damaged ({_last(ended)})" if ended.exit_status else ""
        if why:
            raise ProofFailedError(f"{log.name} on {self._host.name} was not rotated as it should be: {why}.")

    def _prove_reloaded(self, logs: list[Lying], seconds: float) -> str:
        """Wait until no process holds a renamed log open: whoever does would go on writing into it.

        Where not all processes can be seen, a new log has to grow and the old one must not. Return what was proven.
        """
        deadline = time.monotonic() + seconds
        sizes: Sizes = {}
        while True:
            held, blind = held_by(self._host, self._directory, logs, self._run)
            if not held and not blind:
                return "no process holds the old one"
            if blind:
                before, sizes = sizes, sizes_of(lying_in(self._host, self._directory))
                if not held and all(moved_on(log, before, sizes) for log in logs):
                    return "no process that can be seen holds the old one, which grows no more, and the new one does"
            if time.monotonic() >= deadline:
                if held:
                    raise ProofFailedError(
                        f"After the reload processes on {self._host.name} still hold {', '.join(held)}: they do not "
                        f"open their logs anew on {self._rules.reload[0]!r}; mend [logs.rotation] reload."
                    )
                raise ProofFailedError(
                    f"Whether a process on {self._host.name} still holds an old log is not proven: not all open files "
                    f"can be seen ({blind}), and a new log did not grow; see as_root of [logs.rotation]."
                )
            self._check()
            time.sleep(_POLL_SECONDS)

    def _candidate(self) -> str:
        """Write the candidate, and return what logrotate says when it is asked to try it.

        Raises:
            ProofFailedError: it complains.
        """
        place = self._rules.file + _CANDIDATE
        self._must(["install", "-m", _MODE, "-o", _OWNER, "-g", _OWNER, "/dev/stdin", place], stdin=self._text)
        if self._read(place) != self._text:
            raise CommandFailedError(f"{place} on {self._host.name} does not hold what was written; see its disk.")
        said = self._dry(place)
        complaints = complaints_of(said)
        if not complaints and not is_considered(said, self._directory):
            complaints = [f"nothing about {self._directory}"]
        if complaints:
            raise ProofFailedError(f"logrotate on {self._host.name} says of the configuration: {_some(complaints)}")
        return said

    def _fault(self) -> str:
        """Say why the file in place is not what it should be, or is not taken; empty: it is."""
        file, main = self._rules.file, self._rules.main
        ended = self._run(["stat", "-c", "%a %U %G %F", "--", file])
        wanted = f"{_MODE.lstrip('0')} {_OWNER} {_OWNER} regular file"
        if ended.stdout.strip() != wanted:
            return f"it is {ended.stdout.strip() or 'not there'} instead of {wanted}"
        if self._read(file) != self._text:
            return "it holds something else"
        said = self._dry(main)
        name = file.rpartition("/")[2]
        mine = [line for line in complaints_of(said) if name in line or self._directory in line]
        if mine:
            return f"the host's logrotate says: {_some(mine)}"
        if f"reading config file {name}\n" not in said or not is_considered(said, self._directory):
            return f"the host's logrotate does not read it: {main} has to include {file.rpartition('/')[0]}"
        return ""

    def _unproven(self, now: str | None) -> tuple[bool, str | None]:
        """Say whether what is in place was put there by us and never proven, and what is the former file.

        Where that one is not beside any more, nothing can be taken back.
        """
        before, _, after = (self._read(self._rules.file + _UNPROVEN) or "").strip().partition(" ")
        if now is None or after != _digest(now):
            return False, now
        former = None if before == _NONE else self._read(self._rules.file + _FORMER)
        return (True, former) if before in (_NONE, _digest(former)) else (False, now)

    def _go_back(self, former: str | None, why: str, cause: Exception | None = None) -> NoReturn:
        """Put the former file back, and look whether it is; always raises."""
        file = self._rules.file
        self._note("log_rotation_way_back", {"host": self._host.name, "file": file, "why": why})
        if former is None:
            self._must(["rm", "-f", file])
        else:
            self._must(["mv", "-fT", file + _FORMER, file])
        if self._current() != former:
            raise ProofFailedError(
                f"{file} on {self._host.name}: {why}; and the former file is not back: look now."
            ) from cause
        self._run(["rm", "-f", file + _UNPROVEN])
        back = "the former one is back" if former is not None else "it was removed again: there was none before"
        raise ProofFailedError(f"{file} on {self._host.name}: {why}; {back}.") from cause

    def _current(self) -> str | None:
        return self._read(self._rules.file)

    def _read(self, file: str) -> str | None:
        """Return a file's text; None where there is none."""
        if self._run(["test", "-e", file]).exit_status != 0:
            return None
        ended = self._run(["cat", "--", file])
        if ended.exit_status != 0:
            raise CommandFailedError(f"{file} on {self._host.name} cannot be read: {_last(ended)}.")
        return ended.stdout

    def _dry(self, file: str) -> str:
        ended = self._run([self._rules.program, "-d", file], seconds=self._rules.seconds)
        return ended.stdout + ended.stderr

    def _must(self, argv: list[str], *, stdin: str = "") -> None:
        ended = self._run(argv, stdin=stdin)
        if ended.exit_status != 0:
            raise CommandFailedError(
                f"{argv[0]} on {self._host.name} ended with status {ended.exit_status}: {_last(ended)}; see the rights "
                "(as_root of [logs.rotation]), and the room there."
            )

    def _run(self, argv: list[str], *, stdin: str = "", seconds: float | None = None) -> CommandOutput:
        limit = seconds or self._rules.seconds
        return self._host.run([*self._rules.as_root, *argv], timeout_seconds=limit, stdin=stdin)


def _digest(text: str | None) -> str:
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]


def _some(lines: list[str]) -> str:
    more = f" (and {len(lines) - _COMPLAINTS} more)" if len(lines) > _COMPLAINTS else ""
    return "; ".join(lines[:_COMPLAINTS]) + more


def _last(ended: CommandOutput) -> str:
    said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    return said[-1][:200].rstrip(".") if said else f"status {ended.exit_status}, and nothing else"

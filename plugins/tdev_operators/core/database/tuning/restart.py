"""The restart that a setting needs, on the database's host, with the former file at hand when it does not come up.

The exit status of the restart is not believed: the server lets us in with the new values, or the saved
postgresql.auto.conf goes back and it is started with that.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from tdev_operators.core.database.alone import APPLICATION as SESSION_NAME
from tdev_operators.core.database.tuning.plan import Change
from tdev_operators.core.database.tuning.ports import TuningPorts
from tdev_operators.core.database.tuning.reading import AUTO, Seen, look
from tdev_operators.core.database.tuning.statements import alter_system
from tdev_operators.core.database.tuning.units import same
from tdev_operators.core.errors import (
    CommandFailedError,
    InputError,
    ProofFailedError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.ports import CommandOutput, Host
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.settings import Settings

RESTART, SAVED, WAY_BACK = "restart", "saved", "way back"
_POLL_SECONDS = 0.3
_SETTLE_SECONDS = 5.0  # a service that is not active for so long is not on its way up; nobody would start it


class Restart:
    """One restart of the server with other values."""

    def __init__(
        self,
        ports: TuningPorts,
        settings: Settings,
        journal: Journal,
        *,
        note: Callable[[str, Mapping[str, Any]], None],
        progress: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        """Name things; nothing is touched."""
        self._ports, self._settings, self._rules, self._journal = ports, settings, settings.tuning, journal
        self._note, self._progress, self._check = note, progress, check
        self._copy = f"{self._rules.data_directory}/{AUTO}.{journal.recovery_id}"

    @property
    def begun(self) -> bool:
        """Whether the server may have been told to restart, so that only the world can say how far that came."""
        return self._journal.last(RESTART) is not None

    @property
    def is_still_to_come(self) -> bool:
        """Whether the restart was noted, and the server runs as it did before."""
        last = self._journal.last(RESTART)
        if last is None or last.event != "intended" or self._journal.last(WAY_BACK) is not None:
            return False
        started = self._started_at()
        return started is not None and started <= datetime.fromisoformat(last.facts["started_at"])

    @property
    def saved(self) -> bool:
        """Whether there is a copy of the file as it was."""
        return self._journal.done(SAVED) is not None

    def save(self) -> None:
        """Copy the file that ALTER SYSTEM writes, before it does.

        Raises:
            CommandFailedError: the host says no.
        """
        self._must(self._rules.save_file)
        self._journal.note(SAVED, "done", copy=self._copy)

    def is_about(self, files: Collection[str]) -> bool:
        """Whether the file that is copied and put back is one of those that the server reads (`pg_file_settings`)."""
        ours = f"{self._rules.data_directory}/{AUTO}"
        if ours in files:
            return True
        places = [self._run(["readlink", "-f", file]).stdout.strip() for file in (ours, *files)]
        return bool(places[0]) and places[0] in places[1:]

    def trial(self, changes: Sequence[Change]) -> str:
        """Have the server's program read its files without starting; return its complaint, if it has one."""
        for change in changes:
            ended = self._run(self._rules.trial, name=change.name)
            if ended.exit_status != 0:
                return _said(ended)
        return ""

    def begin(self, expected: Mapping[str, str], started_at: datetime) -> None:
        """Note what shall run afterwards (base units), and since when the server runs now."""
        self._journal.note(RESTART, "intended", expected=dict(expected), started_at=started_at.isoformat())

    def forget(self) -> None:
        """Remove the copy, which nobody needs any more; a later try makes its own."""
        self._journal.note(SAVED, "undone", copy=self._copy)
        with suppress(TdevError):  # it is in nobody's way
            self._run(self._rules.remove_file)

    def carry_out(self, changes: Sequence[Change]) -> None:
        """Restart, look, and go back when it is not as it should be. A retry goes on where the world is.

        Raises:
            ProofFailedError: the former file is back, and the server runs with it.
            TransientError: the host or the server cannot be reached; nothing more was done.
        """
        last = self._journal.last(RESTART)
        if last is None:
            raise InputError("No restart was noted; start the run anew.")
        if last.event == "done":
            return
        if last.event == "undone":
            raise ProofFailedError(f"{last.facts['why']} The former file is back, and the server runs with it.")
        begun = self._journal.last(WAY_BACK)
        if begun is not None:
            self._go_back(changes, begun.facts["why"])
        expected, since = last.facts["expected"], datetime.fromisoformat(last.facts["started_at"])
        started = self._started_at()
        # One that is down was left so by a try that was killed in between, or does not start: both are found out by it.
        if started <= since if started else not self._is_alive():
            self._check()
            self._note("tuning_restart", {"service": self._rules.database_service, "expected": expected})
            ended = self._run(self._rules.service_restart, seconds=self._rules.restart_seconds)
            self._progress(f"{self._rules.database_service} was told to restart: exit status {ended.exit_status}")
        if not self._comes_up(since):
            if self._is_alive():
                raise TargetUnreachableError(
                    f"{self._rules.database_service} runs by its host's word and does not let us in; nothing is taken "
                    "back. See the server's log and the way to it."
                )
            self._go_back(changes, f"The server did not come up with {_named(changes)}.")
        wrong = self._not_in_force(expected)
        if wrong:
            name, runs = next(iter(wrong.items()))
            self._go_back(changes, f"The restarted server runs with {name} = {runs}, and not {expected[name]}.")
        for change in changes:
            self._journal.note(change.step, "done", value=change.value, former=change.former)
        self._journal.note(RESTART, "done", expected=expected)
        self.forget()
        self._progress(f"the server runs again, with {_named(changes)}")

    def _go_back(self, changes: Sequence[Change], why: str) -> None:
        """Put the former values back and let the server run with them; always raises.

        A server that runs gets our own settings back by name: what others have set meanwhile stays. One that is down
        gets its former file. What a killed try did already, and a server that recovers, is left in peace.
        """
        begun = self._journal.last(WAY_BACK)
        if begun is None:
            self._journal.note(WAY_BACK, "intended", why=why)
        restored = begun is not None and bool(begun.facts.get("restored"))
        self._note("tuning_way_back", {"why": why, "copy": self._copy})
        self._progress(f"{why} What was there before goes back.")
        since = self._started_at()
        if not restored:
            if since is not None:
                self._set_former(changes)
            else:
                self._must(self._rules.restore_file)
            self._journal.note(WAY_BACK, "intended", why=why, restored=True)
        before = {change.name: change.before for change in changes}
        if not (restored and since is not None and not self._not_in_force(before)):
            self._run_again(why, since, told_before=restored)
        if wrong := self._not_in_force(before):
            raise ProofFailedError(f"{why} The former values are back, and {', '.join(wrong)} is not as before; look.")
        for change in changes:
            self._journal.note(change.step, "undone", value=change.former)
        self._journal.note(RESTART, "undone", why=why)
        self._journal.note(WAY_BACK, "done", why=why)
        self.forget()
        raise ProofFailedError(f"{why} The former file is back, and the server runs with it.")

    def _set_former(self, changes: Sequence[Change]) -> None:
        with self._ports.care.database.session(application_name=SESSION_NAME) as session:
            for change in changes:
                session.rows(alter_system(change.name, change.former))

    def _run_again(self, why: str, since: datetime | None, *, told_before: bool) -> None:
        """Restart it, or start it when it is down; one that was told so before, and is recovering, is waited for."""
        if told_before and since is None and self._is_alive():
            if not self._comes_up(None):
                raise TargetUnreachableError(
                    f"{why} With its former file it is starting, and lets nobody in yet; wait."
                )
            return
        words = self._rules.service_restart if self._is_alive() else self._settings.recovery.service_start
        ended = self._run(words, seconds=self._rules.restart_seconds)
        if not self._comes_up(since):
            raise CommandFailedError(
                f"{why} Nor does it come up with its former file (`{words[0]}` ended with status {ended.exit_status}, "
                f"{_said(ended)}); see the server's log. The former file is {self._copy}."
            )

    def _comes_up(self, since: datetime | None) -> bool:
        """Wait for a server that started after the moment; after any, when none is given."""
        now = alive_at = time.monotonic()
        deadline = now + self._rules.restart_seconds
        while now < deadline and now - alive_at < min(_SETTLE_SECONDS, self._rules.restart_seconds / 4):
            self._check()
            started = self._started_at()
            if started is not None and (since is None or started > since):
                return True
            now = time.monotonic()
            if started is not None or self._is_alive():
                alive_at = now
            time.sleep(_POLL_SECONDS)
        return False

    def _started_at(self) -> datetime | None:
        with suppress(TdevError):
            return self._seen().server.started_at
        return None

    def _not_in_force(self, expected: Mapping[str, str]) -> dict[str, str]:
        running = self._seen().running
        found = {name: running[name.lower()] for name in expected}
        return {
            name: setting.setting
            for name, setting in found.items()
            if not same(setting.kind, setting.setting, expected[name])
        }

    def _seen(self) -> Seen:
        with self._ports.care.database.session(application_name=SESSION_NAME) as session:
            return look(session)

    def _is_alive(self) -> bool:
        return self._run(self._settings.recovery.service_alive).exit_status == 0

    @property
    def _host(self) -> Host:
        if self._ports.host is None:
            raise InputError("Nobody here can restart the server; set recovery.database_host.")
        return self._ports.host

    def _must(self, words: Sequence[str]) -> None:
        ended = self._run(words)
        if ended.exit_status != 0:
            raise CommandFailedError(
                f"`{words[0]}` on {self._host.name} ended with status {ended.exit_status} ({_said(ended)}); see what "
                "keeps it."
            )

    def _run(self, words: Sequence[str], *, name: str = "", seconds: float = 0.0) -> CommandOutput:
        places = {
            "{service}": self._rules.database_service,
            "{data}": self._rules.data_directory,
            "{copy}": self._copy,
            "{name}": name,
        }
        argv = []
        for word in words:
            for place, value in places.items():
                word = word.replace(place, value)  # noqa: PLW2901  one place after the other
            argv.append(word)
        return self._host.run(argv, timeout_seconds=seconds or self._settings.recovery.service_seconds)


def _said(ended: CommandOutput) -> str:
    lines = (ended.stderr or ended.stdout).strip().splitlines()
    return lines[-1][:200].rstrip(".") if lines else "it said nothing"


def _named(changes: Sequence[Change]) -> str:
    return ", ".join(f"{change.name} = {change.value}" for change in changes)

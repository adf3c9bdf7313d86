"""Applying what is recommended: noted first, proven by effect in a new session, and with a way back.

One object does all steps of a run; each of its methods may be called again by a retry, or by another worker after a
kill -9, and goes on where the journal in the backups bucket says.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import APPLICATION as SESSION_NAME
from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.tuning import application, preflight
from tdev_operators.core.database.tuning.plan import Change, Plan, TuningRequest, backward, forward, printed
from tdev_operators.core.database.tuning.ports import TuningPorts
from tdev_operators.core.database.tuning.reading import Seen, look
from tdev_operators.core.database.tuning.restart import Restart
from tdev_operators.core.database.tuning.statements import alter_system
from tdev_operators.core.database.tuning.told import owner_of
from tdev_operators.core.database.tuning.triangle import counting_line, rows_of
from tdev_operators.core.database.tuning.units import in_base_units, same, same_words
from tdev_operators.core.errors import BusyError, InputError, PermanentError, ProofFailedError
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

KIND = "tuning"  # of the journal's name
JOB = "tuning"  # of the advisory lock
PLAN, APPROVAL, SAMPLE, REFUSED = "plan", "approval", "sample", "refusal"
_POLL_SECONDS = 0.2
_APPROVALS = 1


class Tuning:
    """One run of it. `note` writes into the ledger before each step; `check` raises when the work is no longer ours."""

    def __init__(
        self,
        ports: TuningPorts,
        settings: Settings,
        request: TuningRequest,
        *,
        note: Callable[[str, Mapping[str, Any]], None] = lambda _event, _facts: None,
        progress: Callable[[str], None] = lambda _line: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the journal; nothing is touched."""
        self._ports, self._settings, self._rules, self.request = ports, settings, settings.tuning, request
        self._note, self._progress, self._check = note, progress, check
        self.journal = self._journal(request.tuning_id)

    @property
    def plan(self) -> Plan:
        """What was decided.

        Raises:
            InputError: nothing was.
        """
        facts = self.journal.done(PLAN)
        if facts is None:
            raise InputError(f"{self.request.tuning_id} has decided nothing; start it anew.")
        return Plan.of_facts(facts)

    def look(self) -> list[str]:
        """Decide what to change and return it line by line; a dry run leaves no trace.

        Raises:
            InputError: it cannot be done as asked. AccessDeniedError: a GRANT is missing, which it names.
            BusyError: another run is at work.
        """
        if self.journal.done(PLAN) is not None:
            return self._told(self.plan)
        with alone(self._ports.care.database, JOB) as session:
            seen = look(session)
            standbys = [row["standby"] for row in session.rows(load_sql("tuning/standbys"))]
        owner = owner_of(self._rules.managed, seen)
        plan = self._decided(seen)
        refusals = preflight.refusals(self._ports, self._settings, self.request, plan, seen, standbys)
        lines = printed(plan, rows_of(self._rules.database, seen), owner or preflight.printed_only(seen))
        if not self.request.dry_run:
            if refusals:
                raise refusals[0]
            self.journal.note(PLAN, "done", **plan.facts(), asked_by=self.request.requested_by)
        return lines + [f"would be refused: {error}" for error in refusals] if plan.changes else self._nothing(plan)

    def note_approvals(self, approved_by: list[str]) -> None:
        """Write down who approved."""
        if self.journal.done(APPROVAL) is None:
            self.journal.note(APPROVAL, "done", by=approved_by)

    def note_refusal(self, why: str) -> None:
        """Write down that it was not approved."""
        self.journal.note(REFUSED, "refused", why=why)

    def apply(self, sample: Callable[[], None] = lambda: None) -> list[str]:
        """Change what counts after a reload, and the application; prove both. Return the names.

        `sample` measures how the system is before that.

        Raises:
            ProofFailedError: a value is not in force; what was set is taken back.
            AccessDeniedError, InputError, TransientError.
        """
        plan = self.plan
        if self.journal.last(SAMPLE) is None and plan.changes:
            sample()
            self.journal.note(SAMPLE, "done")
        reload = [change for change in plan.of("reload") if self.journal.done(change.step) is None]
        if reload:
            with alone(self._ports.care.database, JOB) as session:
                self._refuse_by_now(session, plan)
                self._set_or_take_back(session, reload)
                self._reload_and_prove(session, reload)
        self._change_application(plan.of("application"))
        self._mark_undone(plan.of("reload", "application"))
        return [change.name for change in plan.of("reload", "application")]

    def restart(self) -> list[str]:
        """Change what counts after a restart, restart the server, and prove it. Return the names.

        Raises:
            ProofFailedError: it did not come up, or not with these values; the former file is back and it runs.
            AccessDeniedError: nobody approved. InputError: the window is closed.
            TransientError: the host or the server cannot be reached; a retry goes on.
        """
        plan = self.plan
        changes = plan.of("restart")
        if not changes:
            return []
        refuse_unapproved(
            self._settings.recovery,
            self.request.requested_by,
            (self.journal.done(APPROVAL) or {}).get("by", []),
            _APPROVALS,
        )
        work = Restart(
            self._ports, self._settings, self.journal, note=self._note, progress=self._progress, check=self._check
        )
        if not work.begun:
            with alone(self._ports.care.database, JOB) as session:
                self._refuse_by_now(session, plan, work)
                if not work.saved:
                    self._align(session, changes)
                    work.save()
                self._set_or_take_back(session, changes)
                expected = self._all_expected(session, changes)
                files = {line.file for line in look(session).lines or () if line.is_auto}
                if files and not work.is_about(files):
                    self._take_back(session, changes)
                    work.forget()
                    raise InputError(
                        f"The server reads {min(files)}, which is not in tuning.data_directory: its way back would be "
                        "another server's. It is taken back; mend tuning.data_directory and tuning.trial."
                    )
                if complaint := work.trial(changes):
                    self._take_back(session, changes)
                    work.forget()
                    raise ProofFailedError(
                        f"The server's files cannot be read with this ({complaint}); it is taken back."
                    )
                work.begin(expected, look(session).server.started_at)
        elif work.is_still_to_come:  # cleared days later: the approval was for the window
            preflight.refuse_closed_window(self._settings, self.request, self._ports.clock())
        work.carry_out(changes)
        self._mark_undone(changes)
        return [change.name for change in changes]

    def _decided(self, seen: Seen) -> Plan:
        former = self._journal(self.request.undo) if self.request.undo else None
        facts = former.done(PLAN) if former else None
        # The way back of a database's setting must not need the application that it may have brought down.
        asks_application = bool(Plan.of_facts(facts).of("application")) if facts else self.request.application
        now: dict[str, Any] = {}
        if asks_application and (self._rules.application or former):
            now = application.configuration(self._ports.application, self._rules)
        if former:
            return backward(former, seen, now)
        return forward(self.request, self._rules, rows_of(self._rules.database, seen), seen, now)

    def _refuse_by_now(self, session: Session, plan: Plan, work: Restart | None = None) -> None:
        """Look again right before: an approval takes hours, and others work meanwhile.

        What an earlier try has set already is taken back when it may no longer be finished.
        """
        seen = look(session)
        standbys = [row["standby"] for row in session.rows(load_sql("tuning/standbys"))]
        try:
            if refusals := preflight.refusals(self._ports, self._settings, self.request, plan, seen, standbys):
                raise refusals[0]
        except PermanentError:
            begun = [change for change in plan.of("reload", "restart") if self._is_begun(change)]
            if begun:
                self._take_back(session, begun)
            if work is not None and work.saved:
                work.forget()
            raise

    def _is_begun(self, change: Change) -> bool:
        last = self.journal.last(change.step)
        return last is not None and last.event == "intended"

    def _set_or_take_back(self, session: Session, changes: list[Change]) -> None:
        """Set all of them; when one is refused for good, none stays in the file to count with the next reload."""
        try:
            self._set_all(session, changes)
        except PermanentError:
            self._take_back(session, [change for change in changes if self._is_begun(change)])
            raise

    def _set_all(self, session: Session, changes: list[Change]) -> None:
        """Write each into postgresql.auto.conf, noted first, unless somebody else has written there meanwhile."""
        for change in changes:
            self._check()
            now = look(session).in_auto(change.name)
            if not any(same_words(change.name, now, known) for known in (change.former, change.value)):
                raise BusyError(
                    f"{change.name} became {now!r} in postgresql.auto.conf while this run waited; look who did it, and "
                    "start anew."
                )
            self._intend(change)
            self._note("tuning_set", {"setting": change.name, "value": change.value, "former": change.former})
            session.rows(alter_system(change.name, change.value))
            self._progress(change.told)

    def _align(self, session: Session, changes: list[Change]) -> None:
        """Let the file say what runs where it is ahead of that, so that its copy is one that the server starts with."""
        for change in changes:
            now = look(session).in_auto(change.name)
            ahead = now is not None and same_words(change.name, now, change.value)
            if ahead and not same_words(change.name, now, change.former):
                self._note("tuning_aligned", {"setting": change.name, "value": change.former})
                session.rows(alter_system(change.name, change.former))

    def _intend(self, change: Change) -> None:
        last = self.journal.last(change.step)
        if last is None or last.event != "intended":
            self.journal.note(change.step, "intended", value=change.value, former=change.former)

    def _reload_and_prove(self, session: Session, changes: list[Change]) -> None:
        expected = self._all_expected(session, changes)
        loaded_at = look(session).server.loaded_at
        session.rows(load_sql("tuning/reload"))
        deadline = time.monotonic() + self._rules.prove_seconds
        while wrong := self._not_in_force(expected, loaded_at):
            if time.monotonic() > deadline:
                self._take_back(session, changes)
                session.rows(load_sql("tuning/reload"))
                name, runs = next(iter(wrong.items()))
                raise ProofFailedError(
                    f"{name} is {runs} in new sessions {self._rules.prove_seconds:g} s after the reload, and not "
                    f"{expected[name]}; what was set is taken back. See the server's log."
                )
            time.sleep(_POLL_SECONDS)
        for change in changes:
            self.journal.note(change.step, "done", value=change.value, former=change.former)
            self._progress(f"{change.name} is in force in new sessions")

    def _all_expected(self, session: Session, changes: list[Change]) -> dict[str, str]:
        try:
            seen = look(session)
            return {change.name: self._expected(seen, change) for change in changes}
        except ProofFailedError:
            self._take_back(session, changes)
            raise

    def _expected(self, seen: Seen, change: Change) -> str:
        """Return what has to run afterwards, in base units, by what the files say now."""
        setting = seen.running[change.name.lower()]
        line, filed = counting_line(setting, seen)
        if change.value is None:
            return filed if filed is not None else setting.boot
        wanted = in_base_units(setting.kind, change.value)
        if filed is None or not same(setting.kind, filed, wanted):
            place = line.place if line else "no file"
            raise ProofFailedError(f"{change.name} was set, and {place} still says {filed}; see who wins there.")
        return wanted

    def _not_in_force(self, expected: Mapping[str, str], loaded_at: Any) -> dict[str, str]:
        """Ask in a new session; what that cannot show is known by the time at which the files were read."""
        with self._ports.care.database.session(application_name=SESSION_NAME) as session:
            seen = look(session)
        wrong = {}
        for name, value in expected.items():
            setting = seen.running[name.lower()]
            hidden = setting.is_ours or setting.is_overridden or setting.needs_restart
            if seen.server.loaded_at <= loaded_at if hidden else not same(setting.kind, setting.setting, value):
                wrong[name] = setting.setting
        return wrong

    def _take_back(self, session: Session, changes: list[Change]) -> None:
        for change in changes:
            self._note("tuning_taken_back", {"setting": change.name, "value": change.former})
            session.rows(alter_system(change.name, change.former))
            self.journal.note(change.step, "undone", value=change.former)

    def _change_application(self, changes: list[Change]) -> None:
        left = [change for change in changes if self.journal.done(change.step) is None]
        if not left:
            return
        self._check()
        for change in left:
            self._intend(change)
        values = {change.name: change.value for change in left}
        self._note("tuning_application", {"values": values, "former": {change.name: change.former for change in left}})
        application.change(self._ports.application, self._rules, values)
        for change in left:
            self.journal.note(change.step, "done", value=change.value, former=change.former)
            self._progress(change.told)

    def _mark_undone(self, changes: list[Change]) -> None:
        """Note in the former run's journal that it is taken back, so that nobody takes it back twice."""
        if not self.plan.undo or not changes:
            return
        former = self._journal(self.plan.undo)
        for change in changes:
            last = former.last(change.step)
            if last is not None and last.event != "undone":
                former.note(change.step, "undone", by=self.request.tuning_id)

    def _journal(self, tuning_id: str) -> Journal:
        return Journal(self._ports.care.store, self._settings.buckets.backups, self._settings.system.name, tuning_id)

    def _told(self, plan: Plan) -> list[str]:
        return printed(plan, (), "") if plan.changes else self._nothing(plan)

    def _nothing(self, plan: Plan) -> list[str]:
        return ["Nothing is to be changed.", *(f"left out: {said}" for said in plan.left_out)]

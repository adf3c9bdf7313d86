"""Killed at any moment, the next try goes on: the engine runs in the end, and the evidence is still of before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tdev_operators.core.evolution.recovery.recover import CURE
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.verdicts import Verdict

STEPS = 10  # lines of the journal of a whole run


class Killed(BaseException):
    """The worker died here."""


@pytest.mark.faults
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("line", range(1, STEPS + 1))
def test_killed_around_any_line_of_the_journal_the_retry_goes_on(evolution, monkeypatch, line, when, settled):
    # What is settled is started before any lock is cleared, and the stand-in's engine does not come up without its own.
    pid = 0 if settled else evolution.hold_as_the_dead()
    floor, request, note = evolution.highest(), evolution.request(force=settled), Journal.note

    def dies(self, step, event, **facts):
        if len(self.entries) + 1 == line and when == "before":
            raise Killed
        note(self, step, event, **facts)
        if len(self.entries) == line and when == "after":
            raise Killed

    monkeypatch.setattr(Journal, "note", dies)
    with pytest.raises(Killed):
        evolution.recover(request)
    monkeypatch.setattr(Journal, "note", note)
    with evolution.opened(request) as (recovery, _):
        evidence = recovery.seen
        assert evidence is not None
        half_done = settled and recovery.is_half_done
        if half_done:
            recovery.settle()
            assert evolution.engine.running, "no run leaves the engine stopped"
    found = evolution.recover(request)
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["cure"].summary.startswith("Cured: generation " if settled else f"Cured: generation {floor + 1} at ")
    assert evolution.engine.running
    assert pid not in evolution.pids()
    with evolution.opened(request) as (recovery, _):
        assert recovery.seen == evidence
        assert half_done or len(recovery.journal.entries) == STEPS, [entry.step for entry in recovery.journal.entries]
        assert recovery.journal.done(CURE) is not None


@pytest.mark.seeded(1)
@pytest.mark.parametrize("event", ["evolution_stop", "evolution_sessions", "evolution_start", "evolution_resume"])
def test_killed_for_good_before_a_step_another_process_goes_on(evolution, event):
    evolution.hold_as_the_dead()
    request = evolution.request()
    environment = {
        **os.environ,
        **evolution.system.environment,
        "TDEV_SETTINGS": str(evolution.system.settings_file),
    }
    program = Path(__file__).with_name("killed.py")
    ended = subprocess.run(
        [sys.executable, program, request.recovery_id, event],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    found = evolution.recover(request)
    assert found["cure"].verdict is Verdict.OK, found["cure"]

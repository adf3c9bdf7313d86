"""kill -9 at each line of the journal: the retry ends well or the abort takes back, and two are never written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.backup.whole_sets import verdicts
from tests.core.failover.conftest import Writer
from tests.core.failover.test_failover import is_primary, told
from tests.seeded import drawn

# The lines that a planned failover writes, in order.
LINES = (
    *("asked", "look", "approval", "fence begun", "fence done", "sync begun", "sync done", "promotion begun"),
    *("promotion done", "names begun", "names done", "started", "verified", "end"),
)
_PROMOTION = LINES.index("promotion begun") + 1
CASES = [(number, when) for number in range(1, len(LINES) + 1) for when in ("before", "after")]


def killed(sides, request, number, when):
    environment = {**os.environ, **sides.environment, "TDEV_SETTINGS": str(sides.settings_file)}
    argv = [sys.executable, Path(__file__).with_name("killed.py"), request.recovery_id, str(number), when]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def moment(number, when):
    return f"{number:02} {when} «{LINES[number - 1]}» was written"


@pytest.mark.parametrize(("number", "when"), drawn("failover killed and retried", CASES))
def test_a_killed_failover_is_finished_by_its_retry(sides, number, when, record):
    request = sides.request()
    with Writer(sides) as writer:
        killed(sides, request, number, when)
        if number < len(LINES):
            if number <= LINES.index("look") + 1:
                sides.step(request, "look")
            if number <= LINES.index("approval") + 1:
                sides.step(request, "approve")
            for step in ("fence", "sync", "promote", "switch_names", "start", "verify"):
                sides.step(request, step)
        else:
            sides.step(request, "verify")
        before = len(writer.committed)
        while len(writer.committed) < before + 5:
            assert sides.second.standby.running
    assert writer.both == []
    assert writer.committed <= sides.ids(sides.second.standby)
    found = told(sides, request)
    assert set(verdicts(found).values()) == {"OK"}, [one.summary for one in found if one.verdict != "OK"]
    record("failover: kill -9, retried", moment(number, when), "finished by its retry, nothing lost, one primary")


@pytest.mark.faults
@pytest.mark.parametrize(("number", "when"), drawn("failover killed and aborted", CASES))
def test_a_killed_failover_that_is_given_up_leaves_one_primary_and_says_so(sides, number, when, record):
    request = sides.request()
    with Writer(sides) as writer:
        killed(sides, request, number, when)
        said = sides.step(request, "settle")
        again = sides.step(request, "settle")
    assert writer.both == []
    promoted = number > _PROMOTION or (number, when) == (_PROMOTION, "after")
    if number < LINES.index("fence begun") + 1 or (number, when) == (LINES.index("fence begun") + 1, "before"):
        assert said == "There was nothing to settle."
        assert is_primary(sides.source)
    elif not promoted:
        assert "serves again" in said
        assert again == "There was nothing to settle."
        assert is_primary(sides.source)
        assert not is_primary(sides.second.standby)
        assert writer.committed <= sides.ids(sides.source)
    else:
        assert not sides.source.running
        assert "Go forward" in said or said == "There was nothing to settle."
        assert writer.committed <= sides.ids(sides.second.standby) or not is_primary(sides.second.standby)
    outcome = "the new side is the only primary" if promoted else "the old side is the only primary, and serves"
    record("failover: kill -9, given up", moment(number, when), outcome)

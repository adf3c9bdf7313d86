"""Whether a recovery may begin, by what was seen, and what is probably wrong."""

from datetime import UTC, datetime

import pytest

from tdev_operators.core.evolution.recovery.decision import RecoveryRequest, decide, needs_approval
from tdev_operators.core.evolution.recovery.diagnosis import Diagnosis
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

SHIPPED = load_settings(include_dir() / "tdev.toml")
SUNDAY, MONDAY = datetime(2026, 11, 29, 3, 0, tzinfo=UTC), datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
STALLED = {"generation": 7, "age_seconds": 7200.0, "highest": 7}
HOLDER = {
    "pid": 9,
    "role": "ada",
    "application": "psql",
    "client_address": "192.0.2.9",
    "state": "idle",
    "state_seconds": 600,
}


def host(state="Sl"):
    return {"engine": {"pid": 5, "state": state, "seconds": 9}}


def services(*, runs=True):
    return {"running": {"t-developer-evolution": runs}, "lock_files": {}}


def seen(failed=None, **parts):
    whole = {
        "generation": STALLED,
        "api": {"status": "running", "asked": {}},
        "locks": {"held": [], "waits_for": []},
        "checkpoints": [],
        "services t-developer-1": services(),
        "host t-developer-1": host(),
        "errors t-developer-1": {"lines": 0, "more": False, "newest": []},
        **parts,
    }
    failed = failed or {}
    return Diagnosis("2026-11-30T03:00:00+00:00", {k: v for k, v in whole.items() if k not in failed}, failed)


def decided(found, settings=SHIPPED, **asked):
    return decide(found, settings, RecoveryRequest("evolution-1", **asked))


@pytest.mark.parametrize(
    ("found", "go", "why"),
    [
        (seen(), True, "Generation 7 was first recorded 120 min ago; one is due every 60 min. The API says running."),
        (seen(generation={**STALLED, "age_seconds": 7199.0}), False, "The evolution is not stalled: Generation 7 was"),
        (seen(generation={**STALLED, "age_seconds": None}), True, "No generation was ever recorded; one is due every"),
        (seen(failed={"generation": "It is away."}), False, "Nobody can say whether the evolution is stalled: It is"),
        (seen(failed={"api": "It is away."}), False, "Nobody can say whether somebody stopped it on purpose: It is"),
        (seen(failed={"services t-developer-1": "Is away."}), False, "The engine's host cannot be asked: Is away."),
        (seen(failed={"host t-developer-1": "No ps there."}), True, "Generation 7"),  # it can be restarted all the same
        (seen(failed={"locks": "It is away."}), True, "Generation 7"),  # what is locked is looked at again
        (seen(api={"status": "paused", "asked": {}}), False, "It is paused over the API, so somebody wanted that."),
        (
            seen(locks={"held": [], "waits_for": [HOLDER]}),
            False,
            "The engine waits for a lock of pid 9 of ada (psql) from 192.0.2.9 idle for 10 min, which lives",
        ),
        (
            seen(locks={"held": [], "waits_for": [{**HOLDER, "pid": 0}]}),
            False,
            "The engine waits for a lock of a prepared transaction, which lives",
        ),
        (
            seen(**{"services t-developer-1": services(runs=False)}),
            True,
            "t-developer-evolution on t-developer-1 does not run.",
        ),
        (
            seen(**{"host t-developer-1": host("D")}),
            True,
            "t-developer-evolution on t-developer-1 hangs on a disk or a mount (process 5).",
        ),
        (
            seen(**{"errors t-developer-1": {"lines": 3, "more": False, "newest": []}}),
            True,
            "3 lines of errors in the logs of t-developer-1.",
        ),
        (
            seen(checkpoints=[{"key": "checkpoint_gen0010.json", "fault": "it is empty"}]),
            True,
            "1 of the newest checkpoints cannot be used, checkpoint_gen0010.json first.",
        ),
    ],
)
def test_what_is_done_and_why(found, go, why):
    decision = decided(found)
    assert decision.go is go, decision
    assert why in decision.why
    assert decision.go or decision.todo or decision.stalled is False, "a refusal says what to do"


def test_where_no_host_has_the_engine_nothing_can_be_done():
    hosts = tuple(entry.model_copy(update={"services": ()}) for entry in SHIPPED.hosts)
    decision = decided(seen(), SHIPPED.model_copy(update={"hosts": hosts}))
    assert not decision.go
    assert "No host of [[hosts]] lists the service t-developer-evolution." in decision.why


def test_what_a_person_may_overrule():
    fresh = seen(generation={**STALLED, "age_seconds": 60.0})
    assert not decided(fresh).go
    assert decided(fresh, force=True).go
    stopped = seen(api={"status": "stopped", "asked": {}})
    assert not decided(stopped, force=True).go
    assert decided(stopped, although_stopped=True).go


@pytest.mark.parametrize(("now", "needed"), [(SUNDAY, False), (MONDAY, True)])
def test_outside_the_maintenance_window_somebody_has_to_approve(now, needed):
    assert needs_approval(SHIPPED, now) is needed

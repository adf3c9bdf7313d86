"""Failing over between a real primary and a real standby, with somebody who writes all the time."""

import threading

import pytest

from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    InputError,
)
from tdev_operators.core.failover.rehearsal import rehearse_failover
from tests.core.backup.whole_sets import summary, verdicts
from tests.core.failover.conftest import Writer, fence_unplanned, is_primary, rejoin, told
from tests.seeded import drawn


def test_planned_nothing_is_lost_and_two_are_never_written(sides):
    sides.objects.client().put_object(Bucket="t-developer-agents", Key="a/1.py", Body=b"print(1)")
    request = sides.request()
    with Writer(sides) as writer:
        sides.all_steps(request)
        before = len(writer.committed)
        while len(writer.committed) < before + 20:
            threading.Event().wait(0.05)
    assert writer.both == []
    assert writer.committed <= sides.ids(sides.second.standby)
    assert not sides.source.running
    assert not sides.services["t-developer-api"].running
    assert sides.second.api.running
    assert sides.objects.client().get_object(Bucket="t-developer-agents-2", Key="a/1.py")["Body"].read() == b"print(1)"
    found = told(sides, request)
    assert set(verdicts(found).values()) == {"OK"}, [one.summary for one in found if one.verdict != "OK"]
    assert "Nothing was lost" in summary(found, "failover.loss")
    assert "approved by deputy" in summary(found, "failover.end")
    assert next(one.value for one in results_seconds(found)) < 30
    sides.unit_commands.boot("postgresql-1", "t-developer-api")
    assert not sides.source.running, "the fence survives a restart of the machine"
    for step in ("fence", "sync", "promote", "switch_names", "start", "verify"):
        sides.step(request, step)  # done once more, nothing is done
    assert sides.step(request, "settle") == "There was nothing to settle."


def results_seconds(found):
    end = next(one for one in found if one.check == "failover.end")
    return [one for one in end.measurements if one.name == "until verify was done"]


def test_a_drill_looks_at_the_side_that_does_not_serve_and_touches_nothing(sides):
    def rehearsed(number):
        with sides.failover() as failover:
            return rehearse_failover(failover.ports, failover.settings, f"drill-{number}")

    result = rehearsed(1)
    assert result.verdict == "OK", result.summary
    assert "A failover to second was rehearsed: second is 0.0 MB behind first" in result.summary
    sides.second.standby.stop()
    result = rehearsed(2)
    assert result.verdict == "CRITICAL"
    assert "Nobody could fail over to second now" in result.summary
    assert "tdev failover second --rehearse" in result.hint
    assert is_primary(sides.source)
    assert sides.services["t-developer-api"].running


def test_without_approval_nothing_is_fenced(sides):
    request = sides.request()
    sides.step(request, "look")
    with pytest.raises(AccessDeniedError, match="needs 1 approval"):
        sides.step(request, "fence")
    assert is_primary(sides.source)


@pytest.mark.faults
@pytest.mark.parametrize("reached", drawn("failover taken back", ["fence", "sync"]))
def test_what_ends_before_the_promotion_is_taken_back(sides, reached):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync")[: 3 + (reached == "sync")]:
        sides.step(request, step)
    assert "serves again" in sides.step(request, "settle")
    assert is_primary(sides.source)
    assert sides.services["t-developer-api"].running
    assert not is_primary(sides.second.standby)
    assert verdicts(told(sides, request))["failover.end"] == "CRITICAL"
    sides.second.await_streaming()
    again = sides.request()
    sides.all_steps(again)  # it is over, so that another may begin
    assert is_primary(sides.second.standby)


@pytest.mark.faults
def test_behind_the_promotion_nothing_is_taken_back(sides):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync", "promote"):
        sides.step(request, step)
    said = sides.step(request, "settle")
    assert "nothing is taken back" in said
    assert "first: does not answer" in said
    assert "second: a primary on timeline 2" in said
    assert "Not done: names, start, verify" in said
    assert not sides.source.running
    for step in ("switch_names", "start", "verify"):
        sides.step(request, step)
    assert verdicts(told(sides, request))["failover.end"] == "OK"


@pytest.mark.faults
def test_while_one_is_under_way_no_other_begins_and_a_newer_one_ends_the_older(sides):
    first, second = sides.request(), sides.request()
    for request in (first, second):
        sides.step(request, "look")
        sides.step(request, "approve")
    sides.step(first, "fence")
    with pytest.raises(BusyError, match=f"{first.recovery_id} is not over"):
        sides.step(second, "fence")
    sides.step(first, "settle")
    sides.second.await_streaming()
    sides.step(second, "fence")
    for step in ("sync", "promote"):
        with pytest.raises(InputError, match="is over"):
            sides.step(first, step)


@pytest.mark.faults
def test_a_dead_primary_is_left_behind_and_the_loss_is_told(sides):
    request = sides.request(planned=False)
    with Writer(sides) as writer:
        while len(writer.committed) < 50:
            threading.Event().wait(0.02)
        sides.source.kill()
        sides.all_steps(request)
    assert writer.both == []
    found = told(sides, request)
    assert verdicts(found)["failover.loss"] == "WARNING"
    assert "Lost: an unknown amount" in summary(found, "failover.loss")
    kept = sides.ids(sides.second.standby)
    lost = writer.committed - kept
    assert len(lost) < len(writer.committed) / 2, "a standby that follows has nearly everything"


def test_a_word_is_not_believed_while_the_old_side_answers(sides):
    with pytest.raises(InputError, match="answers still, as a primary"):
        fence_unplanned(sides, sides.request(planned=False, attested_off=True))
    assert not is_primary(sides.second.standby)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"to": "third"}, "There is no side"),
        ({"to": "first"}, "is a primary already"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(sides, asked, says):
    with pytest.raises(InputError, match=says):
        sides.step(sides.request(**asked), "look")
    assert is_primary(sides.source)


def test_the_ledger_may_not_live_on_a_side(sides):
    with sides.source.connect() as connection:
        (cluster,) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    with pytest.raises(InputError, match="The ledger lives on a server that takes part"):
        sides.step(sides.request(), "look", bystander=cluster)


@pytest.mark.faults
@pytest.mark.parametrize("planned", drawn("failback", [True, False]))
def test_the_old_side_is_rewound_follows_and_takes_over_again(sides, planned):
    with pytest.raises(InputError, match="answers still, as a primary"):
        rejoin(sides)
    with Writer(sides) as writer:
        if not planned:
            while len(writer.committed) < 50:
                threading.Event().wait(0.02)
            sides.source.kill()
        sides.all_steps(sides.request(planned=planned))
        with pytest.raises(AccessDeniedError, match="needs 1 approval"):
            rejoin(sides, ())
        kept = sides.ids(sides.second.standby)
        assert rejoin(sides) == "first follows second"
        assert rejoin(sides) == "first follows second", "done once more, nothing is done"
        sides.all_steps(sides.request(to="first"))
        before = len(writer.committed)
        while len(writer.committed) < before + 10:
            threading.Event().wait(0.05)
    assert writer.both == []
    assert is_primary(sides.source)
    assert not sides.second.standby.running
    assert kept <= sides.ids(sides.source)
    if planned:
        assert writer.committed <= sides.ids(sides.source)

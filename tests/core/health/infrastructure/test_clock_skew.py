"""infrastructure.clock_skew."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.health.infrastructure import clock_skew
from tdev_operators.core.verdicts import Verdict


def now():
    return datetime.now(UTC)


def whole_second(skew=0.0):
    return lambda: (now() + timedelta(seconds=skew)).replace(microsecond=0)


def test_equal_clocks_are_ok(ports, shipped, fakes, arena):
    system = ports(database=arena.look, objects=fakes.Objects(time=whole_second()), clock=now)
    result = clock_skew.check(system, shipped)
    assert result.verdict is Verdict.OK
    assert [m.value for m in result.measurements] == [0.0, 0.0]
    assert len(result.coverage.seen) == 2


@pytest.mark.parametrize(
    ("skew", "verdict"), [(0.9, Verdict.OK), (-3.5, Verdict.WARNING), (3.5, Verdict.WARNING), (60, Verdict.CRITICAL)]
)
def test_a_store_whose_clock_is_off(ports, shipped, fakes, arena, skew, verdict):
    system = ports(database=arena.look, objects=fakes.Objects(time=whole_second(skew)), clock=now)
    assert clock_skew.check(system, shipped).verdict is verdict


def test_a_worker_whose_clock_is_off_differs_from_both(ports, shipped, fakes, arena):
    system = ports(
        database=arena.look, objects=fakes.Objects(time=whole_second()), clock=lambda: now() - timedelta(minutes=1)
    )
    result = clock_skew.check(system, shipped)
    assert result.verdict is Verdict.CRITICAL
    assert all(59 < m.value < 61 for m in result.measurements)


@pytest.fixture
def answers_after(ports, fakes):
    """Return a maker of a system whose database answers after so many seconds with a clock that is so much ahead."""
    start = datetime(2026, 11, 23, tzinfo=UTC)

    def make(way, ahead):
        times = itertools.cycle([0, way])  # the clock before and after each question
        return ports(
            database=fakes.Database([{"server_time": start + timedelta(seconds=way / 2 + ahead)}]),
            objects=fakes.Objects(time=TargetUnreachableError("gone")),
            clock=lambda: start + timedelta(seconds=next(times)),
        )

    return make


def test_a_slow_way_that_hides_a_difference_is_not_ok(answers_after, shipped):
    result = clock_skew.check(answers_after(20, -9), shipped)
    assert not result.measurements
    assert "the way there and back takes too long" in result.coverage.skipped["database t_developer"]
    assert result.verdict is Verdict.UNKNOWN


def test_a_slow_way_does_not_hide_what_it_cannot_explain(answers_after, shipped):
    assert clock_skew.check(answers_after(20, -16), shipped).verdict is Verdict.CRITICAL


def test_a_difference_that_the_way_explains_is_none(answers_after, shipped):
    result = clock_skew.check(answers_after(2, -0.9), shipped)
    assert result.measurements[0].value == 0.0
    assert list(result.coverage.skipped) == ["object store"]
    assert result.because_of == "infrastructure.object_store"

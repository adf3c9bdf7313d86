"""What a report says to look at first."""

from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.reporting.first_things import first_things
from tdev_operators.core.series import Point, Series
from tdev_operators.core.verdicts import Verdict
from tests.analysed import DAY
from tests.records import NOON, result


def of(name, *values, unit="MB"):
    return Series(name, unit, tuple(Point(NOON + n * DAY, value) for n, value in enumerate(values)))


CALM = (10.0, 11.0, 9.0, 10.0, 10.5, 9.5, 10.0)


def test_what_is_red_comes_first_then_warnings_then_what_is_unusual():
    told = first_things(
        [
            result("a.red", Verdict.CRITICAL, "It is broken. And more."),
            result("b.follows", Verdict.UNKNOWN, "It cannot look.", because_of="a.red"),
            result("c.warns", Verdict.WARNING, "It is slow."),
            result("d.calm", series=(of("calm", *CALM, 10.2),)),
            result("e.odd", series=(of("size", *CALM, 25.0),)),
            result("f.odder", series=(of("errors", *CALM, 99.0, unit=""),)),
        ]
    )
    assert told == (
        "a.red: It is broken.",
        "c.warns: It is slow.",
        "f.odder: errors is 99, unusually far above its median of 10.",
    )


def test_a_fall_is_as_unusual_as_a_rise():
    assert first_things([result("x", series=(of("size", *CALM, 2.0),))]) == (
        "x: size is 2 MB, unusually far below its median of 10 MB.",
    )


def test_calm_young_and_steady_figures_are_nothing_to_look_at():
    assert first_things([result("x", series=(of("size", *CALM),))]) == ()
    assert first_things([result("x", series=(of("size", 1.0, 1.0, 1.0, 1.0, 1.0, 9.0),))]) == ()
    assert first_things([result("x", series=(of("size", *[100.0] * 10, 101.0),))]) == ()
    assert first_things([result("x", series=(of("size", *[0.0] * 10, 0.0),))]) == ()
    assert first_things([result("x", series=(of("size"),))]) == ()
    assert first_things([]) == ()


def test_a_figure_that_never_moved_and_jumps_is_unusual():
    assert len(first_things([result("x", series=(of("size", *[100.0] * 10, 120.0),))])) == 1


@given(
    st.lists(st.lists(st.floats(-1e9, 1e9), max_size=12), max_size=6), st.lists(st.sampled_from(Verdict), max_size=6)
)
def test_there_are_never_more_than_three(series, verdicts):
    results = [result(f"v.{n}", verdict) for n, verdict in enumerate(verdicts)]
    results += [result(f"s.{n}", series=(of("x", *values),)) for n, values in enumerate(series)]
    told = first_things(results)
    assert len(told) <= 3
    assert len(set(told)) == len(told)

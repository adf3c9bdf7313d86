"""The picture of a series: everything that matters is in it, at its place, and nobody needs to see it."""

import json
import re
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.reporting.plots import sentence, svg
from tdev_operators.core.series import MOST_POINTS, Foreseen, Point, Series, thinned
from tdev_operators.core.verdicts import CheckResult
from tests.records import HOSTILE, NOON, result, series_of

DAY = timedelta(days=1)


def drawn(series, now=NOON):
    return ET.fromstring(svg(series, now))


def texts(picture):
    return [element.text for element in picture.iter("text")]


def by_class(picture, name):
    return [element for element in picture.iter() if name in (element.get("class") or "").split()]


def test_the_picture_has_axes_band_limit_and_today():
    picture = drawn(series_of("t_developer"))
    assert picture.get("role") == "img"
    assert picture.find("title").text == picture.get("aria-label") == "size of t_developer"
    assert picture.find("desc").text == sentence(series_of("t_developer"))
    shown = texts(picture)
    assert "MB of t_developer" in shown
    assert {"limit 50 MB of t_developer", "today", "22 Nov", "25 Nov"} <= set(shown)
    figures = [float(text) for text in shown if re.fullmatch(r"[\d.]+", text)]
    assert figures == sorted(figures)
    assert len(figures) >= 3
    assert (
        len(by_class(picture, "band")) == len(by_class(picture, "expected")) == len(by_class(picture, "measured")) == 1
    )
    (today,) = [line for line in by_class(picture, "today") if line.tag == "line"]
    last = by_class(picture, "dot")[-1]
    assert float(today.get("x1")) == pytest.approx(float(last.get("cx")), abs=0.1), "the newest point is of today"


def test_a_higher_figure_stands_higher_and_a_later_one_further_right():
    places = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in by_class(drawn(series_of()), "dot")]
    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_a_limit_far_away_does_not_press_the_rest_flat():
    near = drawn(Series("x", "GB", series_of().points, limit=90.0))
    far = drawn(Series("x", "GB", series_of().points, limit=9000.0))
    assert [line for line in by_class(near, "limit") if line.tag == "line"]
    assert not [line for line in by_class(far, "limit") if line.tag == "line"]
    assert "limit 9,000 GB, above this picture" in texts(far)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_strangers_call_it_is_text_only(name):
    picture = ET.fromstring(svg(series_of(name), NOON).encode("utf-8"))
    harmless = drawn(series_of())
    assert [element.tag for element in picture.iter()] == [element.tag for element in harmless.iter()]
    assert [set(element.attrib) for element in picture.iter()] == [set(e.attrib) for e in harmless.iter()]


@pytest.mark.parametrize(
    "points", [(), (Point(NOON, 1.0),), (Point(NOON, 1.0), Point(NOON, 2.0))], ids=["none", "one", "one moment"]
)
def test_without_two_moments_there_is_no_picture_but_a_sentence(points):
    series = Series("x", "GB", points)
    assert svg(series, NOON) == ""
    assert sentence(series).startswith("x: ")


figures = st.floats(-1e15, 1e15, allow_nan=False, allow_subnormal=False)


@given(st.lists(st.tuples(st.integers(0, 5_000), figures), min_size=2, max_size=60), st.none() | figures)
def test_any_series_stays_inside_the_frame(rows, limit):
    points = tuple(Point(NOON + hours * timedelta(hours=7), value) for hours, value in sorted(rows))
    text = svg(Series("x", "GB", points, limit=limit), NOON)
    if not text:
        assert points[0].when == points[-1].when
        return
    (measured,) = by_class(ET.fromstring(text), "measured")
    for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", measured.get("d")):
        assert 60 <= float(x) <= 720
        assert 20 <= float(y) <= 225
    assert "nan" not in text
    assert text.count("<text") < 40


def test_a_long_series_is_thinned_and_its_spike_stays():
    points = [Point(NOON + n * DAY, 1000.0 if n == 617 else float(n % 7)) for n in range(1000)]
    thin = thinned(points)
    assert len(thin) <= MOST_POINTS
    assert (thin[0], thin[-1]) == (points[0], points[-1])
    assert points[617] in thin
    assert [p.when for p in thin] == sorted(p.when for p in thin)
    assert thinned(points[:50]) == tuple(points[:50])


def test_a_result_keeps_its_series_in_json_and_old_rows_have_none():
    found = result("capacity.database", series=(series_of(),))
    data = json.loads(json.dumps(found.to_json()))
    assert CheckResult.from_json(data) == found
    del data["series"]
    assert CheckResult.from_json(data).series == ()


def test_what_is_no_number_does_not_reach_json():
    bad = Series("x", "", (Point(NOON, float("nan")), Point(NOON + DAY, 1.0)), (Foreseen(NOON, float("inf"), 0, 0),))
    data = json.loads(json.dumps(bad.to_json(), allow_nan=False))
    assert Series.from_json(data) == Series("x", "", (Point(NOON + DAY, 1.0),))

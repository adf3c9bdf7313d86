"""The rule alone, and that the statements say the same as the rule."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tdev_operators.core.backup.database.catalogue import pin
from tdev_operators.core.database.retention.rules import Fate, classes_of, fate_of
from tdev_operators.core.database.retention.settings import RetentionException, RetentionRule
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.table import read_table
from tdev_operators.core.errors import InputError
from tests.core.database.retention.conftest import RULE

NOW = datetime(2026, 11, 29, 3, 30, tzinfo=UTC)


def days_ago(days, seconds=0):
    return NOW - timedelta(days=days, seconds=seconds)


@pytest.mark.parametrize(
    ("moment", "importance", "fate"),
    [
        (days_ago(30), "normal", Fate.KEPT),
        (days_ago(30, 1), "normal", Fate.DISCARDED),
        (days_ago(30, 1), "high", Fate.KEPT),
        (days_ago(90), "high", Fate.KEPT),
        (days_ago(90, 1), "high", Fate.ARCHIVED),
        (days_ago(90, 1), None, Fate.DISCARDED),
        (None, "high", Fate.KEPT),
        (NOW + timedelta(days=1), "low", Fate.KEPT),
    ],
)
def test_a_row_goes_when_its_time_has_come(moment, importance, fate):
    assert fate_of(classes_of(RULE, NOW), moment, {"importance": importance}) is fate


def test_the_same_moment_in_another_zone_is_the_same_cut_off():
    utc = classes_of(RULE, NOW)
    assert classes_of(RULE, NOW.astimezone(ZoneInfo("America/New_York"))) == utc
    assert classes_of(RULE, NOW.astimezone(timezone(timedelta(hours=14)))) == utc


def test_a_day_has_24_hours_when_clocks_change():
    after_the_change = datetime(2026, 10, 26, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    rule = RetentionRule(table="m", time_column="t", days=1, archive=False)
    assert classes_of(rule, after_the_change)[0].cut_off == datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(InputError, match="has no time zone"):
        classes_of(RULE, datetime(2026, 11, 29))  # noqa: DTZ001  that is the point


def test_an_exception_that_would_go_first_is_refused():
    short = RetentionException(column="importance", value="high", days=29, archive=True)
    with pytest.raises(ValidationError, match="what is excepted would go first"):
        RetentionRule(table="metrics", time_column="timestamp", days=30, archive=False, exceptions=(short,))


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "Pacific/Kiritimati"])
def test_the_statements_agree_with_the_rule_whatever_the_servers_zone(world, kind, zone):
    rule = RetentionRule(
        table="m",
        time_column="at",
        days=30,
        archive=False,
        exceptions=(
            RetentionException(column="importance", value="high", days=90, archive=True),
            RetentionException(column="name", value="50% off's", days=60, archive=True),
        ),
    )
    world.sql.execute(f"ALTER DATABASE {world.database.name} SET timezone = '{zone}'")
    world.sql.execute(f"CREATE TABLE m (id int PRIMARY KEY, at {kind}, importance text, name text)")
    moments = [None, *(days_ago(days, seconds) for days in (0, 30, 60, 90, 400) for seconds in (-1, 0, 1))]
    expected = {}
    classes = classes_of(rule, NOW)
    for moment in moments:
        for importance in ("high", "low", None):
            for name in ("50% off's", None):
                value = moment if kind == "timestamptz" or moment is None else moment.replace(tzinfo=None)
                if kind == "date" and value is not None:
                    value = value.date()
                    # A day goes when the whole of it is past: as its cut-off, a date is the day of the moment.
                stored = world.sql.execute(
                    "INSERT INTO m SELECT count(*), %s, %s, %s FROM m RETURNING id", (value, importance, name)
                ).fetchone()[0]
                judged = (
                    datetime(*value.timetuple()[:3], tzinfo=UTC)
                    if isinstance(value, date) and kind == "date"
                    else moment
                )
                day = classes_of(rule, NOW.replace(hour=0, minute=0)) if kind == "date" else classes
                expected[stored] = fate_of(day, judged, {"importance": importance, "name": name})
    world.sql.execute("INSERT INTO m VALUES (-1, '-infinity', 'high', 'x'), (-2, 'infinity', 'low', NULL)")
    with world.database.session() as session:
        pin(session)
        statements = Statements(read_table(session, rule), classes)
        [found] = session.rows(statements.due_rows(), {})
    fates = list(expected.values())
    assert found["archived"] == fates.count(Fate.ARCHIVED) > 0
    assert found["discarded"] == fates.count(Fate.DISCARDED) > 0

import pytest

from tdev_operators.core.database.performance.looks.growth import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import day_of

GB = 1e9


def sizes(table, index=1 * GB, *, whole=True, **others):
    return {
        "database": "app",
        "database_bytes": table + index,
        "all_tables": whole,
        "all_indexes": whole,
        "tables": {"public.metrics": [table, index], **{f"public.{name}": [size, 0] for name, size in others.items()}},
        "indexes": {"public.metrics_pkey": [index, "metrics"]},
    }


@pytest.mark.parametrize(
    ("now", "verdict"), [(14 * GB, Verdict.OK), (16 * GB, Verdict.WARNING), (60 * GB, Verdict.CRITICAL)]
)
def test_a_week_of_growth_is_held_against_the_limit(now, verdict):
    found = look(day_of("sizes", sizes(now), sizes(10 * GB), sizes(now - GB), days_ago=(7, 1)))
    assert found.verdict is verdict
    if verdict is not Verdict.OK:
        assert f"table public.metrics grew by {(now - 10 * GB) / 1e6:,.1f} MB" in found.summary


def test_an_index_that_grows_alone_is_named():
    found = look(day_of("sizes", sizes(10 * GB, 4 * GB), sizes(10 * GB), days_ago=(7,)))
    assert found.verdict is Verdict.WARNING
    assert "index public.metrics_pkey grew by 3,000.0 MB (300 %)" in found.summary


def test_small_growth_is_told_and_not_judged():
    found = look(day_of("sizes", sizes(5e8), sizes(1e8), days_ago=(7,)))
    assert found.verdict is Verdict.OK
    assert any("table public.metrics grew by 400.0 MB (400 %)" in line for line in found.details)


def test_without_a_week_it_says_so():
    found = look(day_of("sizes", sizes(60 * GB), sizes(10 * GB), days_ago=(1,)))
    assert found.verdict is Verdict.OK
    assert "no sample of a week ago" in found.summary


def test_a_table_that_may_only_have_been_too_small_to_be_kept_is_not_called_new():
    new = look(day_of("sizes", sizes(GB, orders=3 * GB), sizes(GB), days_ago=(7,)))
    assert any("table public.orders is new" in line for line in new.details)
    unsure = look(day_of("sizes", sizes(GB, orders=3 * GB), sizes(GB, whole=False), days_ago=(7,)))
    assert not any("orders" in line for line in unsure.details)

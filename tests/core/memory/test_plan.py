"""What is done about a host's memory: nothing where it is not high, the gentlest first, and only what would help."""

import pytest

from tdev_operators.core.memory.plan import acts_of, is_high, why_none
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

SHIPPED = load_settings(include_dir() / "tdev.toml")


def settings(**changes):
    return SHIPPED.model_copy(update={"memory_relief": SHIPPED.memory_relief.model_copy(update=changes)})


def seen(used=90.0, reclaimable=5.0, evolution=30.0, api=1.0, *, runs=True):
    return {
        "used_percent": used,
        "reclaimable_percent": reclaimable,
        "services": {
            "t-developer-evolution": {"runs": runs, "percent": evolution, "pid": 7},
            "t-developer-api": {"runs": True, "percent": api, "pid": 8},
        },
        "consumers": [{"name": "java", "pid": 9, "rss_kib": 2048}],
    }


@pytest.mark.parametrize(("used", "high"), [(79.9, False), (80.0, True), (99.0, True)])
def test_high_is_what_the_health_check_calls_so(used, high):
    assert is_high(seen(used=used), SHIPPED) is high


@pytest.mark.parametrize(
    ("found", "rules", "acts"),
    [
        (seen(), {}, ["restart t-developer-evolution on h"]),
        (seen(reclaimable=40), {}, ["restart t-developer-evolution on h"]),  # the settings do not allow it
        (
            seen(reclaimable=40),
            {"drop_caches": True},
            ["drop caches on h", "restart t-developer-evolution on h"],
        ),
        (seen(reclaimable=19.9), {"drop_caches": True}, ["restart t-developer-evolution on h"]),  # it would not help
        (seen(evolution=9.9), {}, []),  # it holds too little
        (seen(runs=False), {}, []),  # what does not run is not started by this
        (seen(api=50), {}, ["restart t-developer-evolution on h"]),  # the API may not be restarted
        (
            seen(api=50),
            {"services": ("t-developer-evolution", "t-developer-api")},
            ["restart t-developer-api on h", "restart t-developer-evolution on h"],  # the largest first
        ),
    ],
)
def test_what_is_done(found, rules, acts):
    assert [act.step for act in acts_of("h", found, settings(**rules))] == acts


def test_where_nothing_helps_it_says_who_holds_it():
    assert why_none(seen(evolution=2.0), SHIPPED) == (
        "Nothing that may be restarted holds much of it: the largest is java (pid 9) with 2 MiB; t-developer-evolution "
        "holds 2.0 %, and below 10 % a restart would not help."
    )

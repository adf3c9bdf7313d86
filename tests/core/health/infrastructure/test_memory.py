"""infrastructure.memory."""

import pytest

from tdev_operators.core.errors import TargetTimeoutError
from tdev_operators.core.health.infrastructure import memory
from tdev_operators.core.settings import HostSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost

HOSTS = {"hosts": (HostSettings(name="a", reach="local"),)}


def meminfo(total, available):
    return f"MemTotal:       {total} kB\nMemFree:          10 kB\nMemAvailable:   {available} kB\nHugePages_Total: 0\n"


@pytest.mark.parametrize(
    ("available", "verdict"), [(500, Verdict.OK), (200, Verdict.WARNING), (50, Verdict.CRITICAL), (0, Verdict.CRITICAL)]
)
def test_used_share_against_its_limits(ports, change, fakes, available, verdict):
    host = fakes.Host({"meminfo": meminfo(1000, available)})
    result = memory.check(ports(hosts={"a": host}), change(HOSTS))
    assert result.verdict is verdict
    assert f"uses {100 - available / 10:.0f} % of its memory" in result.summary


@pytest.mark.parametrize("answer", ["", "MemTotal: 5 kB\n", meminfo(0, 0), meminfo(5, 9), TargetTimeoutError("Slow.")])
def test_no_figures_is_unknown(ports, change, fakes, answer):
    result = memory.check(ports(hosts={"a": fakes.Host({"meminfo": answer})}), change(HOSTS))
    assert result.verdict is Verdict.UNKNOWN


def test_this_machine(ports, change):
    result = memory.check(ports(hosts={"a": LocalHost("a")}), change(HOSTS))
    assert 0 < result.measurements[0].value < 100

"""infrastructure.load."""

import pytest

from tdev_operators.core.health.infrastructure import load
from tdev_operators.core.settings import HostSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost

HOSTS = {"hosts": (HostSettings(name="a", reach="local"),)}


@pytest.mark.parametrize(("mean", "verdict"), [(3.9, Verdict.OK), (8.0, Verdict.WARNING), (16.0, Verdict.CRITICAL)])
def test_load_for_each_core_against_its_limits(ports, change, fakes, mean, verdict):
    host = fakes.Host({"loadavg": f"99.0 {mean} 0.1 1/200 123\n", "nproc": "4\n"})
    result = load.check(ports(hosts={"a": host}), change(HOSTS))
    assert result.verdict is verdict
    assert "on 4 cores" in result.summary


@pytest.mark.parametrize(("averages", "cores"), [("", "4"), ("1 x 1", "4"), ("1 nan 1", "4"), ("1 1 1", "0")])
def test_garbage_is_unknown(ports, change, fakes, averages, cores):
    host = fakes.Host({"loadavg": averages, "nproc": cores})
    assert load.check(ports(hosts={"a": host}), change(HOSTS)).verdict is Verdict.UNKNOWN


def test_this_machine(ports, change):
    result = load.check(ports(hosts={"a": LocalHost("a")}), change(HOSTS))
    assert result.measurements[0].value >= 0

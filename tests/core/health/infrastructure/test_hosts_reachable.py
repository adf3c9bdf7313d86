"""infrastructure.hosts_reachable."""

import pytest

from tdev_operators.core.errors import AccessDeniedError, BusyError, SetupMissingError, TargetUnreachableError
from tdev_operators.core.health.infrastructure import hosts_reachable
from tdev_operators.core.settings import HostSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost

HOSTS = {"hosts": (HostSettings(name="a", reach="local"), HostSettings(name="b", reach="local"))}


def test_all_answer(ports, change):
    result = hosts_reachable.check(ports(hosts={"a": LocalHost("a"), "b": LocalHost("b")}), change(HOSTS))
    assert result.verdict is Verdict.OK


def test_a_dead_host_is_critical(ports, change, fakes):
    dead = fakes.Host({"true": TargetUnreachableError("b did not answer within 5 s.")})
    result = hosts_reachable.check(ports(hosts={"a": LocalHost("a"), "b": dead}), change(HOSTS))
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "Host b cannot be used: b did not answer within 5 s."


@pytest.mark.parametrize("error", [SetupMissingError, AccessDeniedError, BusyError])
def test_what_is_our_own_fault_is_not_told_of_the_host(ports, change, fakes, error):
    result = hosts_reachable.check(
        ports(hosts={"a": LocalHost("a"), "b": fakes.Host({"true": error("It is ours.")})}), change(HOSTS)
    )
    assert result.verdict is Verdict.UNKNOWN
    assert result.coverage.skipped == {"b": "It is ours."}


def test_a_host_without_a_way_is_unknown(ports, change):
    result = hosts_reachable.check(ports(hosts={"a": LocalHost("a")}), change(HOSTS))
    assert result.verdict is Verdict.UNKNOWN
    assert "There is no way to reach host b" in result.summary

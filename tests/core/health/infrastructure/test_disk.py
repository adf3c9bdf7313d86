"""infrastructure.disk: df on real and on made-up hosts."""

import pytest

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.health.infrastructure import disk
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.settings import HostSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost

HEAD = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
HOSTS = (HostSettings(name="a", reach="local", disks=("/", "/var/log")),)


def df(fakes, space, inodes):
    return fakes.Host({"df -Pk": HEAD + space, "df -Pi": HEAD + inodes}, name="a")


PLENTY = "/dev/a 1000 100 900 10% /\n/dev/b 1000 100 900 10% /var/log\n"


def test_plenty_of_space_is_ok(ports, change, fakes):
    result = disk.check(ports(hosts={"a": df(fakes, PLENTY, PLENTY)}), change({"hosts": HOSTS}))
    assert result.verdict is Verdict.OK
    assert result.coverage.seen == ("a:/", "a:/var/log")


@pytest.mark.parametrize(("used", "verdict"), [(79, Verdict.OK), (80, Verdict.WARNING), (90, Verdict.CRITICAL)])
def test_space_against_its_limits(ports, change, fakes, used, verdict):
    space = f"/dev/a 1000 100 900 10% /\n/dev/b 200 {used} {100 - used} {used}% /var/log\n"
    result = disk.check(ports(hosts={"a": df(fakes, space, PLENTY)}), change({"hosts": HOSTS}))
    assert result.verdict is verdict
    assert f"a:/var/log is {used} % full" in result.summary


def test_no_inodes_left_is_critical(ports, change, fakes):
    inodes = "/dev/a 1000 990 10 99% /\n/dev/b 0 0 0 - /var/log\n"  # the second has no fixed number of inodes
    result = disk.check(ports(hosts={"a": df(fakes, PLENTY, inodes)}), change({"hosts": HOSTS}))
    assert result.verdict is Verdict.CRITICAL
    assert "a:/ has used 99 % of its inodes" in result.summary


def test_one_host_that_cannot_be_reached_is_unknown_and_explained(ports, change, fakes):
    hosts = (*HOSTS, HostSettings(name="b", reach="local"))
    dead = fakes.Host({"df": TargetUnreachableError("b is gone.")})
    result = disk.check(ports(hosts={"a": df(fakes, PLENTY, PLENTY), "b": dead}), change({"hosts": hosts}))
    assert result.verdict is Verdict.UNKNOWN
    assert result.because_of == "infrastructure.hosts_reachable"
    assert result.coverage.skipped == {"b": "b is gone."}


def test_a_disk_that_is_not_there_is_unknown(ports, change, fakes):
    missing = CommandOutput(1, HEAD, "df: /var/log: No such file or directory\n")
    host = fakes.Host({"df": missing}, name="a")
    result = disk.check(ports(hosts={"a": host}), change({"hosts": HOSTS}))
    assert result.verdict is Verdict.UNKNOWN
    assert "No such file" in result.summary
    assert result.because_of == ""


@pytest.mark.parametrize(
    "lines", ["", "garbage\n", "/dev/a a b c d /\n/dev/b 1 1 1 1 /b\n", "none 0 0 0 - /\nn 0 0 0 - /b\n"]
)
def test_garbage_is_unknown(ports, change, fakes, lines):
    result = disk.check(ports(hosts={"a": df(fakes, lines, lines)}), change({"hosts": HOSTS}))
    assert result.verdict is Verdict.UNKNOWN


def test_this_machine(ports, change):
    hosts = (HostSettings(name="here", reach="local", disks=("/", "/tmp")),)
    limits = Ceiling(warning=100, critical=101)
    settings = change(
        {
            "hosts": hosts,
            "health.infrastructure.disk_used_percent": limits,
            "health.infrastructure.inodes_used_percent": limits,
        }
    )
    result = disk.check(ports(hosts={"here": LocalHost("here")}), settings)
    assert result.verdict is Verdict.OK

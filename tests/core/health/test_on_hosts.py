"""Looking at hosts in time."""

import time

from tdev_operators.core.errors import TargetTimeoutError
from tdev_operators.core.health.on_hosts import on_each_host, output_of
from tdev_operators.core.settings import HostSettings
from tdev_operators.hooks.hosts.local import LocalHost


def test_all_commands_of_a_look_end_well_before_the_check(ports, change):
    settings = change({"hosts": (HostSettings(name="a", reach="local"),), "health.check_timeout_seconds": 1.0})
    system = ports(hosts={"a": LocalHost("a")})
    started = time.monotonic()
    slow = on_each_host(system, settings, lambda host, _: output_of(host, "sleep", "60"))["a"]
    assert isinstance(slow, TargetTimeoutError)

    def two(host, _):
        time.sleep(0.6)
        return output_of(host, "true")

    late = on_each_host(system, settings, two)["a"]
    assert isinstance(late, TargetTimeoutError)
    assert str(late) == "Host a was so slow that no time was left for true; see its load."
    assert time.monotonic() - started < 10

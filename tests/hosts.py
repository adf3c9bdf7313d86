"""Hosts that are not what they seem."""

from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.hosts.local import LocalHost


class Saying(LocalHost):
    """A host whose commands say one thing."""

    def __init__(self, stdout):
        super().__init__("saying")
        self.stdout = stdout

    def run(self, argv, **options):
        return CommandOutput(0, self.stdout, "")

"""This very machine."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from tdev_operators.core import commands
from tdev_operators.core.ports import CommandOutput


class LocalHost:
    """Implements `ports.StreamingHost` with processes of our own."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """The host's name in the settings."""
        return self._name

    def run(self, argv: Sequence[str], *, timeout_seconds: float = 30.0, stdin: str = "") -> CommandOutput:
        """See `ports.Host.run`."""
        return commands.run(argv, timeout_seconds=timeout_seconds, stdin=stdin.encode())

    def stream(self, argv: Sequence[str], *, timeout_seconds: float = 30.0) -> AbstractContextManager[Iterator[bytes]]:
        """See `ports.StreamingHost.stream`."""
        return commands.streaming(argv, timeout_seconds=timeout_seconds)

"""The ways to people, one file each.

A channel registers by being here: `<name>.py` with a function `channel(settings, connections)`.
"""

from importlib import import_module
from pkgutil import iter_modules

from tdev_operators.core.errors import TdevError
from tdev_operators.core.reporting.messages import AlertMessage, Channel
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.alerts import mail
from tdev_operators.hooks.connections import ConnectionSource


class BrokenChannel:
    """A channel that the settings choose and nobody set up: it says so whenever something is to be sent."""

    def __init__(self, name: str, error: TdevError) -> None:
        self.name = name
        self._error = error

    def send(self, _message: AlertMessage) -> None:
        """Raise the reason."""
        raise self._error


def channel_names() -> list[str]:
    """Return the names of all channels that there are."""
    return sorted(module.name for module in iter_modules(__path__))


def load_channels(settings: Settings, connections: ConnectionSource) -> tuple[Channel, ...]:
    """Return the channels that the settings choose, in their order. One without its connection is a broken channel."""
    return tuple(_load_or_broken(name, settings, connections) for name in settings.alerts.channels)


def load_report_readers(settings: Settings, connections: ConnectionSource) -> tuple[Channel, ...]:
    """Return the way to those who want every report; it is broken when mail is not set up."""
    try:
        return mail.report_readers(settings, connections)
    except TdevError as error:
        return (BrokenChannel("report_readers", error),)


def load_channel(name: str, settings: Settings, connections: ConnectionSource) -> Channel:
    """Return one channel.

    Raises:
        SettingsError, SetupMissingError: it is not set up.
    """
    channel: Channel = import_module(f"{__name__}.{name}").channel(settings, connections)
    return channel


def _load_or_broken(name: str, settings: Settings, connections: ConnectionSource) -> Channel:
    try:
        return load_channel(name, settings, connections)
    except TdevError as error:
        return BrokenChannel(name, error)

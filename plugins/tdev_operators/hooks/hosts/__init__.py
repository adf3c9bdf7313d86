"""Running commands on the hosts of the maintained system: here, over SSH, or through AWS Systems Manager."""

from tdev_operators.core.ports import StreamingHost
from tdev_operators.core.settings import HostSettings
from tdev_operators.hooks.connections import AWS, ConnectionSource


def host_of(
    entry: HostSettings, connections: ConnectionSource, *, connect_timeout_seconds: float = 8.0
) -> StreamingHost:
    """Return the adapter that the entry's `reach` names. Nothing is opened before the first command.

    `connect_timeout_seconds` bounds how long it takes to know that nobody answers.

    Raises:
        SetupMissingError: the connection that it needs is missing.
    """
    # Each adapter brings a library of its own; only those that are in use are imported.
    match entry.reach:
        case "local":
            from tdev_operators.hooks.hosts.local import LocalHost  # noqa: PLC0415

            return LocalHost(entry.name)
        case "ssh":
            from tdev_operators.hooks.hosts.ssh import SshHost  # noqa: PLC0415

            return SshHost(
                entry.name, connections.get(entry.connection), connect_timeout_seconds=connect_timeout_seconds
            )
        case "ssm":
            from tdev_operators.hooks.hosts.ssm import SsmHost  # noqa: PLC0415

            return SsmHost(
                entry.name,
                entry.instance_id,
                connections.get(entry.connection or AWS),
                request_timeout_seconds=connect_timeout_seconds,
            )

"""Builds the ports from settings and connections. Importing this module imports no vendor library."""

from collections.abc import Callable
from typing import Any, TypeVar

from tdev_operators.core.errors import TdevError
from tdev_operators.core.ports import StreamingHost, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings
from tdev_operators.hooks.connections import API, AWS, POSTGRES, AirflowConnections, ConnectionSource
from tdev_operators.hooks.outages import OutageMemory

T = TypeVar("T")


def airflow_connections() -> ConnectionSource:
    """Return the source of connections for code that runs in an Airflow task."""
    return AirflowConnections()


def system_ports(settings: Settings, connections: ConnectionSource) -> SystemPorts:
    """Return the maintained system's ports. The connections are looked up; nothing is opened until a port is used.

    A port whose connection is missing raises that error at its first use, so that the others can work. Each
    adapter's limits lie below the settings' `check_timeout_seconds`: its sentence says more than the check's.
    """
    from tdev_operators.hooks.http_api import HttpApi  # noqa: PLC0415 - see the module's docstring
    from tdev_operators.hooks.names import DnsResolver  # noqa: PLC0415
    from tdev_operators.hooks.object_store import S3Store  # noqa: PLC0415
    from tdev_operators.hooks.postgres import PostgresCredentialProbe, PostgresDatabase  # noqa: PLC0415
    from tdev_operators.hooks.tls import TlsProbe  # noqa: PLC0415

    whole = settings.health.check_timeout_seconds
    # Two samples of a silent target fit into a check's limit, so that it is known dead and not only given up.
    knock, answer = min(5.0, whole / 4), 0.4 * whole
    resolver = DnsResolver(settings.dns.resolver, timeout_seconds=knock)
    database = _or_missing(
        POSTGRES,
        lambda: PostgresDatabase(
            connections.get(POSTGRES), connect_timeout_seconds=knock, statement_timeout_seconds=answer
        ),
    )
    credentials = _or_missing(
        POSTGRES, lambda: PostgresCredentialProbe(connections.get(POSTGRES), connect_timeout_seconds=knock)
    )
    objects = _or_missing(AWS, lambda: S3Store(connections.get(AWS), timeout_seconds=answer))
    api = _or_missing(API, lambda: HttpApi(connections.get(API), connect_timeout_seconds=knock, timeout_seconds=answer))

    hosts = hosts_of(settings, connections)
    memories = [
        memory
        for port in (database, credentials, objects, api, *hosts.values())
        if isinstance(memory := getattr(port, "memory", None), OutageMemory)
    ]

    def forget_outages() -> None:
        for memory in memories:
            memory.forget_outage()

    return SystemPorts(
        database=database,
        objects=objects,
        api=api,
        tls=TlsProbe(ca_file=settings.tls.ca_file, timeout_seconds=answer),
        resolver=resolver,
        credentials=credentials,
        hosts=hosts,
        forget_outages=forget_outages,
    )


def hosts_of(settings: Settings, connections: ConnectionSource) -> dict[str, StreamingHost]:
    """Return every host by its name; nothing is opened until one is used, and one without a connection says so then."""
    from tdev_operators.hooks.hosts import host_of  # noqa: PLC0415 - see the module's docstring

    knock = min(5.0, settings.health.check_timeout_seconds / 4)

    def host(entry: HostSettings) -> StreamingHost:
        return _or_missing(entry.name, lambda: host_of(entry, connections, connect_timeout_seconds=knock))

    return {entry.name: host(entry) for entry in settings.hosts}


def _or_missing(name: str, build: Callable[[], T]) -> T:
    try:
        return build()
    except TdevError as error:
        stand_in: Any = _Missing(name, error)
        return stand_in  # type: ignore[no-any-return]


class _Missing:
    """Stands where a port would: every use of it raises the reason why there is none."""

    memory = None

    def __init__(self, name: str, error: TdevError) -> None:
        self.name = name
        self._error = error

    def __getattr__(self, attribute: str) -> Any:
        raise type(self._error)(*self._error.args)

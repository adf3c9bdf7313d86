"""Builds what back-ups work with from settings and connections."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from tdev_operators.core.backup.cipher import Cipher, cipher_of
from tdev_operators.core.backup.database.tools import EMBEDDED, tool
from tdev_operators.core.backup.ports import SourceDatabase
from tdev_operators.core.backup.proof.scratch import ScratchServer, lent_server, scratch_server
from tdev_operators.core.backup.take import BackupPorts
from tdev_operators.core.errors import SetupMissingError, TransientError
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import POSTGRES, ConnectionFacts, ConnectionSource
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER
from tdev_operators.hooks.postgres_sessions import PostgresSource

AGE = "tdev_age"


@contextmanager
def backup_ports(settings: Settings, connections: ConnectionSource) -> Iterator[BackupPorts]:
    """Yield the ports of back-ups. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: a connection is missing.
    """
    postgres = connections.get(POSTGRES)
    with S3BackupStore.of(settings.backup, connections) as store:
        yield BackupPorts(
            store=store,
            maintained=lambda name: PostgresSource(postgres, name),
            ledger=PostgresSource(connections.get(LEDGER)),
            cipher=set_cipher(settings, connections),
            scratch=scratch_servers(settings, connections),
        )


def set_cipher(settings: Settings, connections: ConnectionSource) -> Cipher:
    """Return what seals and opens sets; without the identity it seals only."""
    return cipher_of(settings.backup.age_recipients, _identities(settings, connections))


def _identities(settings: Settings, connections: ConnectionSource) -> str:
    """Return the age identities: needed for proof and restore only, so that a back-up goes on without."""
    if not settings.backup.age_recipients:
        return ""
    try:
        return connections.get(AGE).password
    except SetupMissingError:
        return ""


def scratch_servers(
    settings: Settings, connections: ConnectionSource
) -> Callable[[int], AbstractContextManager[ScratchServer]]:
    """Return what gives a disposable server of a major version."""
    backup = settings.backup
    if backup.scratch == EMBEDDED:
        return own_servers(settings)
    return lambda _major: lent_server(
        lambda name: PostgresSource(connections.get(backup.scratch), name),
        _identifiers(connections),
    )


def own_servers(settings: Settings) -> Callable[[int], AbstractContextManager[ScratchServer]]:
    """Return what makes a disposable server of a major version, here and for us alone, and needs no connection."""
    tools = settings.backup.client_tools
    return lambda major: scratch_server(major, _server_tools(major, tools), _connect)


def _server_tools(major: int, client_tools: str) -> Callable[[str], Path]:
    """Return where a server's programs are: beside the client tools of the settings, else the embedded ones."""
    folder = Path(client_tools.replace("{major}", str(major)))
    has_server = client_tools != EMBEDDED and (folder / "initdb").is_file()
    return lambda name: tool(name, major, client_tools if has_server else EMBEDDED)


def _identifiers(connections: ConnectionSource) -> set[str]:
    """Return who the maintained server is, so that it is no scratch server; nothing on the day when it is gone."""
    with suppress(TransientError, SetupMissingError), PostgresSource(connections.get(POSTGRES)).session() as session:
        return {str(session.rows("SELECT system_identifier FROM pg_control_system()")[0]["system_identifier"])}
    return set()


def _connect(*, host: str, port: int, user: str, password: str, dbname: str) -> SourceDatabase:
    facts = ConnectionFacts("scratch", "postgres", host=host, port=port, login=user, password=password, schema=dbname)
    return PostgresSource(facts, dbname)

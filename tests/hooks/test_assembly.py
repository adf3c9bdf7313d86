"""The ports put together from settings and connections."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from tdev_operators.core.errors import SetupMissingError, TargetTimeoutError
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.hosts.ssh import SshHost
from tdev_operators.hooks.http_api import HttpApi
from tdev_operators.hooks.object_store import S3Store
from tdev_operators.hooks.postgres import PostgresDatabase


def _environment(port: int) -> dict[str, str]:
    address = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_CONN_TDEV_POSTGRES": f"postgres://me:secret@127.0.0.1:{port}/t_developer",
        "AIRFLOW_CONN_TDEV_AWS": json.dumps(
            {"conn_type": "aws", "login": "a", "password": "b", "extra": {"endpoint_url": address}}
        ),
        "AIRFLOW_CONN_TDEV_API": json.dumps({"conn_type": "http", "host": address, "password": "token"}),
        "AIRFLOW_CONN_TDEV_HOST_1": json.dumps({"conn_type": "ssh", "host": "127.0.0.1", "port": port}),
    }


def test_the_ports_are_built_and_nothing_is_opened(silent: Any) -> None:
    ports = system_ports(load_settings(), EnvironmentConnections(_environment(silent.port)))
    kinds = [type(port) for port in (ports.database, ports.objects, ports.api, *ports.hosts.values())]
    assert kinds == [PostgresDatabase, S3Store, HttpApi, SshHost]
    assert (ports.database.name, ports.api.name) == ("t_developer", f"http://127.0.0.1:{silent.port}")
    assert list(ports.hosts) == ["t-developer-1"]
    assert silent.accepted == 0
    assert "secret" not in repr(ports)


def test_outages_of_all_targets_are_forgotten_on_demand(silent: Any) -> None:
    environment = _environment(silent.port)
    del environment["AIRFLOW_CONN_TDEV_POSTGRES"]
    ports = system_ports(load_settings(), EnvironmentConnections(environment))
    host: Any = ports.hosts["t-developer-1"]
    for memory in (host.memory, ports.objects.memory, ports.api.memory):
        memory._error, memory._until = TargetTimeoutError("Silence."), math.inf
    ports.forget_outages()
    for memory in (host.memory, ports.objects.memory, ports.api.memory):
        with memory.attempt():
            pass
    assert host._connect_seconds == 5


def test_a_missing_connection_takes_only_its_own_port(silent: Any) -> None:
    environment = _environment(silent.port)
    del environment["AIRFLOW_CONN_TDEV_POSTGRES"], environment["AIRFLOW_CONN_TDEV_HOST_1"]
    ports = system_ports(load_settings(), EnvironmentConnections(environment))
    assert ports.api.name
    for use in (
        lambda: ports.database.rows("SELECT 1"),
        lambda: ports.credentials.database_accepts("postgres", "postgres"),
    ):
        with pytest.raises(SetupMissingError, match="The connection tdev_postgres is missing; set AIRFLOW_CONN_TDEV"):
            use()
    assert (ports.database.name, ports.hosts["t-developer-1"].name) == ("tdev_postgres", "t-developer-1")
    with pytest.raises(SetupMissingError, match="The connection tdev_host_1 is missing"):
        ports.hosts["t-developer-1"].run(["true"])


def test_importing_the_assembly_imports_no_vendor() -> None:
    code = (
        "import sys, tdev_operators.hooks.assembly;"
        "print(*sorted({'airflow', 'boto3', 'psycopg', 'httpx', 'paramiko', 'dns'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""

"""T-Developer's other side: a standby that follows the source, buckets of its own, an API; and names that can move.

Both sides are on this machine and told apart by addresses of loopback. The standby follows through a port that a test
may put a proxy at.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.api import Api
from sandbox.parts import Part
from sandbox.postgres import UNPRIVILEGED_USER, Cluster
from sandbox.processes import SandboxError, as_user
from sandbox.settings_file import change_settings

if TYPE_CHECKING:
    from sandbox.system import Sandbox

FIRST, SECOND = "first", "second"
ADDRESSES = {FIRST: "127.0.0.1", SECOND: "127.0.0.2"}
_FOLLOWS_SECONDS = 60.0


class Standby(Cluster):
    """A cluster that begins as a copy of another and follows it; it has that one's roles and passwords."""

    def __init__(self, primary: Cluster, name: str, port: int) -> None:
        """Follow what answers at `port` of loopback."""
        super().__init__(primary.supervisor, name, version=primary.version)
        self._primary, self._follows = primary, port
        self._settings, self._passwords = primary._settings, primary._passwords  # noqa: SLF001  one cluster, twice

    def _initdb(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED_USER)
        info = self._primary.conninfo()
        made = subprocess.run(
            [
                *as_user(UNPRIVILEGED_USER),
                self.binaries / "pg_basebackup",
                *("--pgdata", self.data, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"),
                *("--host", info["host"], "--port", str(self._follows), "--username", info["user"], "--no-sync"),
            ],
            env={"PGPASSWORD": info["password"], "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        if made.returncode != 0:
            raise SandboxError(f"pg_basebackup of {self.name} failed:\n{made.stderr}")

    def copy_anew(self) -> None:
        """Follow the primary again from a fresh copy of it, whatever became of this one."""
        self.stop()
        shutil.rmtree(self.data)
        self.start()


class SecondSide:
    """What a failover goes to. `start()` adds it to a running sandbox and to its settings."""

    def __init__(self, system: "Sandbox", *, follows: int = 0, replica: bool = True) -> None:
        """The standby follows the source at the port `follows`; at its own when that is 0.

        Without `replica` it is an empty server, whose passwords are those of the source.
        """
        self._system, self._replica = system, replica
        self.standby: Cluster
        if replica:
            self.standby = Standby(system.source, "standby", follows or system.source.port)
        else:
            self.standby = Cluster(system.supervisor, "elsewhere", version=system.source.version)
            self.standby._passwords = system.source._passwords  # noqa: SLF001
        self.api = Api(system.supervisor, self.standby, system.logs, name="api-2")
        self._served: list[Part] = []  # what ran before: a T-Developer without its engine gets none by a failover
        self.buckets = {"agents": "t-developer-agents-2", "checkpoints": "t-developer-checkpoints-2"}
        self.parts = {
            "postgresql-1": system.source,
            "postgresql-2": self.standby,
            "t-developer-api-2": self.api,
        }

    def start(self) -> "SecondSide":
        """Make the standby and the buckets, and describe both sides in the settings."""
        self._served = [part for part in (self._system.source, *self._system.services.values()) if part.running]
        self.standby.start()
        for name in self.buckets.values():
            self._system.objects.create_bucket(name)
        units = self._system.unit_commands
        units.add(self.parts)
        units.disabled.add("t-developer-api-2")
        differences: dict[str, Any] = {"failover": self._settings()}
        if self._replica:
            differences |= {
                "care": {"indexes": {"standbys": ["tdev_standby"]}},
                "tuning": {"standby_connections": ["tdev_standby"]},
            }
        change_settings(self._system.settings_file, differences)
        if self._replica:
            self.await_streaming()
        return self

    def fail_back(self) -> None:
        """Let the first side serve as before a failover; a standby follows it from a fresh copy."""
        system = self._system
        self.api.stop()
        system.unit_commands.disabled.clear()
        system.unit_commands.disabled.add("t-developer-api-2")
        for part in self._served:
            part.running or part.start()
        system.names.restart()  # the names point to the first side again
        if isinstance(self.standby, Standby):
            self.standby.copy_anew()
            self.await_streaming()

    def await_streaming(self) -> None:
        """Wait until the standby follows."""
        deadline = time.monotonic() + _FOLLOWS_SECONDS
        while not self.is_streaming():
            if time.monotonic() > deadline:
                raise SandboxError("The standby follows nobody.")
            time.sleep(0.1)

    def is_streaming(self) -> bool:
        """Whether the standby follows."""
        with self.standby.connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'").fetchone()
        return found is not None

    @property
    def environment(self) -> dict[str, str]:
        """The connections of both sides and of the names' web hook, in Airflow's JSON form."""
        names = self._system.names
        connections: dict[str, dict[str, Any]] = {
            "SIDE_FIRST": _postgres(self._system.source),
            "SIDE_SECOND": _postgres(self.standby),
            "STANDBY": {**_postgres(self.standby), "schema": "t_developer"},
            "SIDE_SECOND_API": {
                "conn_type": "http",
                "host": self.api.host,
                "port": self.api.port,
                "schema": "http",
                "password": self.api.token,
            },
            "NAMES": {
                "conn_type": "http",
                "host": names.host,
                "port": names.hook_port,
                "schema": "http",
                "password": names.token,
            },
        }
        return {f"AIRFLOW_CONN_TDEV_{name}": json.dumps(value) for name, value in connections.items()}

    def _rewind(self, target: Cluster, source: Cluster) -> list[str]:
        """Return the command that makes a stopped cluster a standby of the other one."""
        program = str(target.binaries / "pg_rewind")
        argv = [program, "--target-pgdata", "{data}", "--source-server", self._reached(target, source), "-R", "-N"]
        return [*as_user(UNPRIVILEGED_USER), *argv]

    def _base(self, target: Cluster, source: Cluster) -> list[str]:
        """Return the command that does it from nothing."""
        program = str(target.binaries / "pg_basebackup")
        anew = f"find {{data}} -mindepth 1 -delete && {program} -D {{data}} -d '{self._reached(target, source)}' -R -N"
        return [*as_user(UNPRIVILEGED_USER), "sh", "-c", f"{anew} --checkpoint=fast"]

    def _reached(self, target: Cluster, source: Cluster) -> str:
        """Return how the source is reached from the target's host; the password stands in a file there."""
        info, passwords = source.conninfo(), target.folder / "passwords"
        passwords.touch(mode=0o600)
        passwords.write_text(f"*:*:*:*:{info['password']}\n", encoding="utf-8")
        if os.geteuid() == 0:
            shutil.chown(passwords, UNPRIVILEGED_USER)
        return f"host={info['host']} port={info['port']} user={info['user']} dbname=postgres passfile={passwords}"

    def _settings(self) -> Mapping[str, Any]:
        system, units = self._system, self._system.unit_commands
        shared = {"host": "sandbox"}
        first = {
            **shared,
            "name": FIRST,
            "connection": "tdev_side_first",
            "database_service": "postgresql-1",
            "data_directory": str(system.source.data),
            "services": list(system.services),
            "address": ADDRESSES[FIRST],
            "rewind": self._rewind(system.source, self.standby),
            "base": self._base(system.source, self.standby),
            "api_connection": "tdev_api",
            "agents": "t-developer-agents",
            "checkpoints": "t-developer-checkpoints",
        }
        second = {
            **shared,
            "name": SECOND,
            "connection": "tdev_side_second",
            "database_service": "postgresql-2",
            "data_directory": str(self.standby.data),
            "services": ["t-developer-api-2"],
            "address": ADDRESSES[SECOND],
            "rewind": self._rewind(self.standby, system.source),
            "base": self._base(self.standby, system.source),
            "api_connection": "tdev_side_second_api",
            **self.buckets,
        }
        return {
            "database": "replica" if self._replica else "backup",
            "catch_up_seconds": 20,
            "promote_seconds": 20,
            "service_disable": units.command("disable"),
            "service_enable": units.command("enable"),
            "service_enabled": units.command("is-enabled"),
            "controldata": [str(system.source.binaries / "pg_controldata"), "{data}"],
            "dns": {"kind": "webhook", "connection": "tdev_names", "names": list(system.names.names), "ttl_seconds": 1},
            "sides": [first, second],
        }


def _postgres(cluster: Cluster) -> dict[str, Any]:
    info = cluster.conninfo()
    return {
        "conn_type": "postgres",
        "host": info["host"],
        "port": info["port"],
        "login": info["user"],
        "password": info["password"],
        "schema": "postgres",
    }

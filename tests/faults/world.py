"""The source, the stores, the proxies before them and the worker that backs up: what every fault happens to."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.fault_proxy import PostgresProxy, S3Proxy, When
from sandbox.object_store import REGION, ObjectStore
from sandbox.postgres import Cluster
from sandbox.processes import LOOPBACK, REPOSITORY, Supervisor
from sandbox.settings_file import write_settings
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import EnvironmentConnections, parse_connection
from tdev_operators.hooks.ledger_database import CONNECTION
from tdev_operators.hooks.ledger_schema import migrate
from tests.faults.moments import Moment
from tests.faults.source import BACKUPS, DATABASE, LEDGER, SYSTEM, change, fill_buckets, fill_database

LENT = "tdev_scratch"
LEASE_SECONDS = 3.0
RUN_SECONDS = 90.0

_HERE = Path(__file__).resolve().parents[2]
_NAP_SECONDS = 0.01
_SETTINGS = {
    "system": {"name": SYSTEM},
    "backup": {
        "databases": [DATABASE],
        "scratch": LENT,
        "lock_wait_seconds": 10,
        "spool_mb": 8,
        "keep": {"last": 1000},
    },
}


@dataclass
class Run:
    """One worker with its task. `status` is the task's (negative: a signal), None when the worker died with it."""

    folder: Path
    worker: int
    task: int
    left: list[str] = field(default_factory=list)
    status: int | None = None

    @property
    def log(self) -> str:
        """What the task said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def result(self) -> dict[str, Any]:
        """What the task found; empty when it did not come to its end."""
        path = self.folder / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def wait(self, seconds: float = RUN_SECONDS) -> "Run":
        """Wait until the worker and the task have ended."""
        deadline = time.monotonic() + seconds
        while _lives(self.worker) or _lives(self.task):
            if time.monotonic() > deadline:
                self.kill_worker()
                raise AssertionError(f"It did not end within {seconds:g} s:\n{self.log}")
            time.sleep(_NAP_SECONDS)
        if (path := self.folder / "ended").exists():
            ended = json.loads(path.read_text(encoding="utf-8"))
            self.status, self.left = ended["status"], ended["left"]
        return self

    def kill_task(self) -> None:
        """Kill -9 the task; its worker lives on."""
        os.kill(self.task, signal.SIGKILL)

    def kill_worker(self) -> None:
        """Kill -9 the worker with its task."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.worker, signal.SIGKILL)

    def dumpers(self) -> list[int]:
        """Return the processes of pg_dump, its leader first."""
        found = [
            (parent != self.task, pid)
            for pid, name, parent, session in _processes()
            if name == "pg_dump" and session == self.worker
        ]
        return [pid for _, pid in sorted(found)]


class World:
    """Everything that runs; `baseline` is the id of the first set, which is PROVEN and must stay so."""

    def __init__(self, supervisor: Supervisor, home: Path) -> None:
        """Start it all, and take and prove the first set."""
        self.home = home
        self.tmpdir = home / "tmp"
        self.tmpdir.mkdir(mode=0o711)
        self.cluster = Cluster(supervisor, "faults-source", settings={"synchronous_commit": "on"}).start()
        self.scratch = Cluster(supervisor, "faults-scratch").start()
        self.store = ObjectStore(supervisor, "faults-store")
        fill_buckets(self.store)
        self.store.start()
        fill_database(self.cluster)
        self.cluster.create_database(LEDGER)
        self.postgres = PostgresProxy(self.cluster.port)
        self.s3 = S3Proxy(self.store.port)
        self.settings_file = home / "tdev.toml"
        write_settings(self.settings_file, _SETTINGS)
        self.settings = load_settings(self.settings_file)
        self.connections = self._connections()
        migrate(EnvironmentConnections(self.connections).get(CONNECTION))
        direct = parse_connection("tdev_aws", self._aws(self.store.endpoint_url))
        self.direct_store = S3BackupStore(direct)
        self.repository = Repository(self.direct_store, BACKUPS, SYSTEM)
        self._runs = 0
        self._workers: list[int] = []
        self._forker = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_HERE,
            env={**os.environ, "PYTHONPATH": f"{_HERE}:{REPOSITORY}"},
        )
        assert self._said() == "ready"
        first = self.start("take", "verify", holder="baseline", scratch="embedded").wait()
        assert first.status == 0, first.log
        assert first.result["proven"], first.log
        self.baseline = first.result["set_id"]
        self.digests = self.digests_of(self.baseline)
        self.clean = Counter[str]()
        for each in self.postgres.conversations:
            self.clean[each.application] += each.to_client_bytes + each.to_server_bytes

    def close(self) -> None:
        """End everything."""
        for stream in (self._forker.stdin, self._forker.stdout):
            if stream:
                stream.close()
        self._forker.wait()
        self.direct_store.close()
        for proxy in (self.postgres, self.s3):
            proxy.close()
        for part in (self.store, self.scratch, self.cluster):
            part.stop()

    def start(
        self,
        *steps: str,
        holder: str,
        full: bool = False,
        scratch: str = "",
        disk: str = "",
        patience_seconds: float = 2.0,
    ) -> Run:
        """Let a worker begin a task with these steps: take, verify."""
        self._runs += 1
        folder = self.home / f"run-{self._runs}"
        folder.mkdir()
        job = {
            "steps": steps,
            "holder": holder,
            "full": full,
            "scratch": scratch,
            "disk": disk,
            "settings": str(self.settings_file),
            "connections": self.connections,
            "tmpdir": str(self.tmpdir),
            "lease_seconds": LEASE_SECONDS,
            "wait_seconds": 30.0,
            "timeout_seconds": 3.0,
            "patience_seconds": patience_seconds,
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        assert self._forker.stdin
        self._forker.stdin.write(f"{folder}\n")
        self._forker.stdin.flush()
        worker = int(self._said())
        self._workers.append(worker)
        while not (folder / "pids").exists():
            assert _lives(worker), (folder / "log").read_text(encoding="utf-8")
            time.sleep(_NAP_SECONDS)
        return Run(folder, worker, int((folder / "pids").read_text(encoding="utf-8").split()[1]))

    def end_all(self) -> None:
        """Kill what a failed test left: its locks and leases would fail all tests behind it."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker, signal.SIGKILL)
        self._workers.clear()

    @contextmanager
    def armed(self, moment: Moment, action: Any, times: int | None = 1) -> Iterator[Any]:
        """Arm a fault at a moment; at the end it is disarmed, and must have fired."""
        board = self.s3.faults if moment.of == "s3" else self.postgres.faults
        traffic = self.clean[moment.application] if moment.application else 0
        when = When(nth=moment.nth, after_bytes=int(moment.share * traffic))
        with board.armed(action, matching=moment.matching, when=when, times=times) as fault:
            yield fault

    def change(self) -> None:
        """Let the source have a day."""
        change(self.cluster, self.store, self._runs)

    def forget_all_but_the_first(self) -> None:
        """Remove the sets of a test, so that the next one begins as this one did."""
        keep = self.repository.folder(self.baseline)
        keys = [each.key for each in self.direct_store.list(BACKUPS) if not each.key.startswith(keep)]
        self.direct_store.delete(BACKUPS, keys)

    def digests_of(self, set_id: str) -> dict[str, str]:
        """Return the SHA-256 of everything that stands in a set's folder, from the store's own disk."""
        folder = self.store.folder / BACKUPS / self.repository.folder(set_id)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def processes_left(self) -> list[str]:
        """Name what still runs of any worker, or in its temporary folder."""
        return [
            f"process {pid} ({name})"
            for pid, name, _, session in _processes()
            if session in self._workers or _works_in(pid, self.tmpdir)
        ]

    def forget_workers(self) -> None:
        """Look no more for what earlier workers left: their numbers are given to other processes some day."""
        self._workers.clear()

    def _said(self) -> str:
        assert self._forker.stdout
        return self._forker.stdout.readline().strip()

    def _aws(self, endpoint_url: str) -> str:
        extra = {"endpoint_url": endpoint_url, "region_name": REGION}
        keys = {"login": self.store.access_key, "password": self.store.secret_key}
        return json.dumps({"conn_type": "aws", **keys, "extra": extra})

    def _connections(self) -> dict[str, str]:
        def database(cluster: Cluster, port: int, dbname: str) -> str:
            facts = cluster.conninfo(dbname)
            return json.dumps(
                {
                    "conn_type": "postgres",
                    "host": LOOPBACK,
                    "port": port,
                    "login": facts["user"],
                    "password": facts["password"],
                    "schema": dbname,
                    "extra": {"sslmode": "disable"},
                }
            )

        return {
            "AIRFLOW_CONN_TDEV_POSTGRES": database(self.cluster, self.postgres.port, DATABASE),
            "AIRFLOW_CONN_TDEV_LEDGER": database(self.cluster, self.postgres.port, LEDGER),
            "AIRFLOW_CONN_TDEV_SCRATCH": database(self.scratch, self.scratch.port, "postgres"),
            "AIRFLOW_CONN_TDEV_AWS": self._aws(self.s3.endpoint_url),
        }


def _processes() -> Iterator[tuple[int, str, int, int]]:
    """Yield pid, name, parent and session of everything that lives."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            head, _, rest = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
            state, parent, _, session, *_ = rest.split()
            if state not in "ZX":
                yield int(entry.name), head.partition("(")[2], int(parent), int(session)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).startswith(f"{folder}/")
    except OSError:
        return False

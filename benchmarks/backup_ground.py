"""Where the back-up benchmarks run: a PostgreSQL server with the data, a scratch server, and an S3 store.

The store is the sandbox's, or the one that the environment names: `TDEV_BENCH_S3_ENDPOINT` with
`TDEV_BENCH_S3_ACCESS_KEY`, `TDEV_BENCH_S3_SECRET_KEY` and `TDEV_BENCH_S3_REGION`. There only buckets whose names begin
with `tdev-bench-` are made, filled and emptied. `TDEV_BENCH_SCALE` (default 1) multiplies the data.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import backup_data
from benchmarks.measuring import Servers
from sandbox.object_store import REGION, ObjectStore, s3_client
from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from tdev_operators.core.backup.database.tools import EMBEDDED, tool
from tdev_operators.core.backup.proof.scratch import scratch_server
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATABASE = "t_developer"
WIDE_DATABASE = "wide"
LEDGER_DATABASE = "ledger"  # empty: the audit trail goes into every set, and is no part of the comparison
_PREFIX = "tdev-bench-"
HUGE_BUCKET = f"{_PREFIX}huge"
_LARGE_OBJECT_BYTES = 6 * 1024**3


@dataclass(frozen=True)
class Ground:
    """What a rival and what our own work is told. It is picklable.

    `database` and `scratch` are keywords for `psycopg.connect` (superuser); `binaries` has the client tools of the
    servers' major version; `sources` are the buckets that are backed up and `backups` the one that they go to; `folder`
    is for local files, and empty between measurements.
    """

    database: Mapping[str, Any]
    scratch: Mapping[str, Any]
    binaries: Path
    endpoint_url: str
    access_key: str
    secret_key: str
    region: str
    sources: tuple[str, ...]
    backups: str
    folder: Path
    scale: float
    database_pid: int
    scratch_pid: int
    store_pid: int | None

    @property
    def servers(self) -> Servers:
        """Whose CPU counts when the source is read."""
        return Servers(self.database_pid, self.store_pid)

    @property
    def scratch_servers(self) -> Servers:
        """Whose CPU counts when the scratch server is filled."""
        return Servers(self.scratch_pid, self.store_pid)

    def client(self) -> "S3Client":
        """Return a boto3 client for the store."""
        return s3_client(self.endpoint_url, self.access_key, self.secret_key)

    def empty(self, bucket: str, prefix: str = "") -> None:
        """Remove every object below a prefix, and every unfinished upload."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            if found := [{"Key": each["Key"]} for each in page.get("Contents", [])]:
                client.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})  # type: ignore[typeddict-item]

    def change(self, edition: int) -> None:
        """Change 1 % of the objects, as a day does."""
        client = self.client()
        agents, checkpoints = self.sources
        changed = [
            (agents if small else checkpoints, key, body)
            for small, key, body in backup_data.changed_objects(edition, self.scale)
        ]
        for bucket in self.sources:
            backup_data.upload_objects(client, bucket, ((key, body) for at, key, body in changed if at == bucket))


@contextmanager
def ground(*, scale: float | None = None, extremes: bool = False) -> Iterator[Ground]:
    """Start the servers, make the data, and remove every trace at the end.

    The scratch server is made as a proof makes its own, so that `psql` gets the same one: settings, checksums and all.
    With `extremes` there are also a database `wide` (a table with rows of 50 MB) and, in the sandbox's store, a bucket
    `tdev-bench-huge` with one object of 6 GB.
    """
    scale = float(os.environ.get("TDEV_BENCH_SCALE", "1")) if scale is None else scale
    foreign = os.environ.get("TDEV_BENCH_S3_ENDPOINT", "")
    with Supervisor() as supervisor, ExitStack() as stack:
        cluster = Cluster(supervisor, "bench-source").start()
        cluster.create_database(DATABASE)
        cluster.create_database(LEDGER_DATABASE)
        backup_data.load_tables(lambda: cluster.connect(DATABASE), scale)
        if extremes:
            cluster.create_database(WIDE_DATABASE)
            with cluster.connect(WIDE_DATABASE) as connection:
                backup_data.load_wide_rows(connection)
        scratch = stack.enter_context(_scratch(cluster.version))
        folder = supervisor.home / "local"
        folder.mkdir()
        names = agents, checkpoints, backups = tuple(_PREFIX + each for each in ("agents", "checkpoints", "backups"))
        if foreign:
            endpoint, pid, region = foreign, None, os.environ.get("TDEV_BENCH_S3_REGION", REGION)
            access_key, secret_key = os.environ["TDEV_BENCH_S3_ACCESS_KEY"], os.environ["TDEV_BENCH_S3_SECRET_KEY"]
        else:
            store = ObjectStore(supervisor, "bench-store")
            for each in names:
                store.create_bucket(each)
            backup_data.write_objects(store.folder / agents, backup_data.small_objects(scale))
            backup_data.write_objects(store.folder / checkpoints, backup_data.large_objects(scale))
            if extremes:
                backup_data.write_sparse_object(store.folder / HUGE_BUCKET, "huge.bin", _LARGE_OBJECT_BYTES)
            store.start()
            endpoint, region, pid = store.endpoint_url, REGION, supervisor.children[store.name].pid
            access_key, secret_key = store.access_key, store.secret_key
        made = Ground(
            database=cluster.conninfo(DATABASE),
            scratch=scratch,
            binaries=cluster.binaries,
            endpoint_url=endpoint,
            access_key=access_key,
            secret_key=secret_key,
            region=region,
            sources=(agents, checkpoints),
            backups=backups,
            folder=folder,
            scale=scale,
            database_pid=supervisor.children[cluster.name].pid,
            scratch_pid=_postmaster(scratch),
            store_pid=pid,
        )
        if foreign:
            _fill(made)
        yield made
        if foreign:
            for each in names:
                made.empty(each)


@contextmanager
def _scratch(major: int) -> Iterator[dict[str, Any]]:
    """Run a server as a proof does; yield the keywords that connect to it."""
    where: dict[str, Any] = {}

    def connect(*, host: str, port: int, user: str, password: str, dbname: str) -> PostgresSource:
        where.update(host=host, port=port, user=user, password=password, dbname=dbname)
        return PostgresSource(
            ConnectionFacts("scratch", "postgres", host=host, port=port, login=user, password=password, schema=dbname)
        )

    with scratch_server(major, lambda name: tool(name, major, EMBEDDED), connect) as server:
        _ = server.admin  # it says where
        yield where


def _postmaster(scratch: Mapping[str, Any]) -> int:
    lines = Path(scratch["host"], "data", "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return int(lines[0])


def _fill(made: Ground) -> None:
    """Make the buckets on a store that is not ours, and fill them over S3."""
    client = made.client()
    for bucket in (*made.sources, made.backups):
        if bucket not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
        made.empty(bucket)
    backup_data.upload_objects(client, made.sources[0], backup_data.small_objects(made.scale))
    backup_data.upload_objects(client, made.sources[1], backup_data.large_objects(made.scale))

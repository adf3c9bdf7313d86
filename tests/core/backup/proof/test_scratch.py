"""Scratch servers: they start, they prove themselves disposable, and nothing of them stays, by kill -9 neither."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg.sql import Composed

from sandbox.postgres import Cluster
from tdev_operators.core import private_folders as folders
from tdev_operators.core.backup.database.catalogue import Catalogue, Column, Relation
from tdev_operators.core.backup.proof.scratch import (
    DATABASE_PREFIX,
    SCRATCH_COMMENT,
    Needs,
    ScratchServer,
    lent_server,
    provable,
)
from tdev_operators.core.errors import InputError
from tests.conftest import REPOSITORY
from tests.core.backup.proof.sets import handle

NEEDS = Needs("UTF8", "libc", "C", "C")

_PROVER = """
import sys, time
from pathlib import Path
from typing import Any
from tdev_operators.core.backup.proof.scratch import Needs, scratch_server
from tests.core.backup.proof.sets import connect

with scratch_server(18, lambda name: Path(sys.argv[1]) / name, connect) as server:
    with server.database(Needs("UTF8", "libc", "C", "C")) as database, database.session() as session:
        [row] = session.rows("SHOW unix_socket_directories")
        print(*row.values(), session.pid, flush=True)
        session.rows("DO 'BEGIN LOOP END LOOP; END'")  # never looks up
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def test_a_database_of_its_own_that_goes(scratch: ScratchServer) -> None:
    with scratch.database(NEEDS) as database:
        with database.session() as session:
            assert session.rows("SELECT current_database() AS name") == [{"name": database.name}]
            assert session.rows("SHOW fsync") == [{"fsync": "off"}]
            assert session.rows("SHOW listen_addresses") == [{"listen_addresses": ""}]
        assert database.name.startswith(DATABASE_PREFIX)
    with scratch.admin.session() as session:
        assert session.rows("SELECT 1 FROM pg_database WHERE datname = %(n)s", {"n": database.name}) == []


def test_the_source_s_encoding_and_locale(scratch: ScratchServer) -> None:
    with scratch.database(Needs("LATIN1", "libc", "C", "C")) as database, database.session() as session:
        assert session.rows("SHOW server_encoding") == [{"server_encoding": "LATIN1"}]
    with scratch.database(Needs("UTF8", "builtin", "C", "C", "C.UTF-8")) as database, database.session() as session:
        [row] = session.rows("SELECT datlocale FROM pg_database WHERE datname = current_database()")
        assert row["datlocale"] == "C.UTF-8"


def _catalogue(**changed: Any) -> Catalogue:
    facts: dict[str, Any] = {
        "server_version_num": 180_004,
        "encoding": "UTF8",
        "collation": "C",
        "character_type": "C",
        "locale_provider": "libc",
        "locale": "C",
        "collations": (),
        "extensions": {"plpgsql": "1.0"},
        "relations": (),
        "sequences": (),
        "large_objects": 0,
    }
    return Catalogue(**{**facts, **changed})


def test_what_cannot_be_proven_is_said_before(scratch: ScratchServer) -> None:
    assert provable(_catalogue(), scratch) == []
    needs_pgcrypto = provable(_catalogue(extensions={"pgcrypto": "1.3"}, server_version_num=170_000), scratch)
    assert [reason.partition(";")[0].partition(",")[0] for reason in needs_pgcrypto] == [
        "unprovable: needs PostgreSQL 17",
        "unprovable: needs pgcrypto",
    ]
    xml = Relation(
        oid=1,
        schema="public",
        name="t",
        kind="table",
        owner="postgres",
        acl=(),
        row_security=False,
        populated=True,
        bytes=0,
        heap=True,
        condition="",
        columns=(Column("c", "xml", padded=False, signature="c xml"),),
    )
    assert provable(_catalogue(relations=(xml,)), scratch) == [
        "unprovable: needs libxml; give it a scratch server that was built with it."
    ]
    [reason] = provable(_catalogue(encoding="LATIN1", locale_provider="builtin", locale="C.UTF-8"), scratch)
    assert reason.startswith("unprovable: needs a database in LATIN1 and C.UTF-8; ")


@pytest.mark.usefixtures("own_tmpdir")
def test_kill_9_leaves_no_server_and_the_next_run_removes_the_folder(cluster: Cluster) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"}
    child = subprocess.Popen(
        [sys.executable, "-c", _PROVER, str(cluster.binaries)], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert child.stdout
    host, backend = child.stdout.readline().split()
    folder = Path(host)
    postmaster = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    key = (folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]
    assert folders.sweep() == []  # it lives
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 10
    while _alive(postmaster) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(postmaster)
    assert folders.sweep() == [folder]
    assert not folder.exists()
    assert not _alive(int(backend))
    segments = [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    assert key not in segments


def test_a_folder_that_is_held_or_newborn_stays() -> None:
    with folders.private_folder() as folder:
        assert folder not in folders.sweep()
        (folder / "owner.lock").rename(folder / "elsewhere")
        assert folder not in folders.sweep()
    assert not folder.exists()


def test_the_source_itself_is_refused(cluster: Cluster) -> None:
    with cluster.connect() as connection:
        row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert row
    with pytest.raises(InputError, match="is the source itself"), lent_server(partial(handle, cluster), {row[0]}):
        pass


def test_a_server_in_use_is_refused(cluster: Cluster, database: dict[str, str]) -> None:
    with (
        pytest.raises(InputError, match=r"holds the database .*not disposable"),
        lent_server(partial(handle, cluster), {"1"}),
    ):
        pass


def test_a_lent_server_is_taken_when_all_is_marked_and_leftovers_go(scratch: ScratchServer) -> None:
    with scratch.admin.session() as session:
        for name in ("drill", f"{DATABASE_PREFIX}dead"):
            session.rows(f"CREATE DATABASE {name}")
            session.rows(f"COMMENT ON DATABASE {name} IS '{SCRATCH_COMMENT}'")
        with lent_server(scratch.open_database, {"1"}) as server, server.database(NEEDS):
            names = {row["datname"] for row in session.rows("SELECT datname FROM pg_database")}
        assert "drill" in names
        assert f"{DATABASE_PREFIX}dead" not in names
        session.rows("COMMENT ON DATABASE drill IS NULL")
        with pytest.raises(InputError, match="drill"), lent_server(scratch.open_database, {"1"}):
            pass
        session.rows("DROP DATABASE drill")


def test_a_restored_role_neither_locks_us_out_nor_opens_a_port(scratch: ScratchServer) -> None:
    with scratch.admin.session() as session:
        session.rows("ALTER ROLE postgres PASSWORD 'another'")
    with scratch.admin.session() as session:
        assert session.rows("SELECT 1 AS one") == [{"one": 1}]
        [row] = session.rows("SHOW unix_socket_directories")
        session.rows("ALTER ROLE postgres PASSWORD NULL")
    folder = Path(row["unix_socket_directories"])
    assert folder.stat().st_mode & 0o077 == 0


@dataclass(frozen=True, slots=True)
class _Standby:
    """A server that says that it is a standby."""

    name: str
    pid: int = 1

    def session(self, *, application_name: str = "") -> AbstractContextManager["_Standby"]:
        assert not application_name
        return nullcontext(self)

    def environment(self) -> AbstractContextManager[Mapping[str, str]]:
        return nullcontext({})

    def rows(self, statement: str | Composed, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        assert not params
        identity = {"system_identifier": "2", "version_num": 180_000, "in_recovery": True}
        return [identity] if "system_identifier" in str(statement) else []


def test_a_standby_is_refused() -> None:
    with pytest.raises(InputError, match="is a standby"), lent_server(_Standby, {"1"}):
        pass


@pytest.mark.usefixtures("own_tmpdir")
def test_what_still_works_in_a_folder_ends_with_it() -> None:
    with folders.private_folder() as folder:
        (folder / "data").mkdir()
        stray = subprocess.Popen(["sleep", "600"], cwd=folder / "data", start_new_session=True)
    assert stray.wait(10) == -signal.SIGKILL
    assert not folder.exists()

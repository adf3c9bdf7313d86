"""Restores from a set by stock pg_restore over FIFOs, and what happens when the set is damaged."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pyrage
import pytest
from psycopg.sql import SQL, Identifier

from sandbox.postgres import Cluster
from tdev_operators.core import private_folders as folders
from tdev_operators.core.backup.cipher import Age, Cipher, Plain
from tdev_operators.core.backup.manifest import DatabaseDump, StoredFile
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.backup.proof.restore import RestoreOptions, restore_database, restore_globals
from tdev_operators.core.backup.proof.scratch import Needs, ScratchServer, scratch_server
from tdev_operators.core.errors import AccessDeniedError, ProofFailedError, TargetTimeoutError, TransientError
from tests.conftest import REPOSITORY
from tests.core.backup.proof.sets import BUCKET, FOLDER, MemoryStore, connect, sealed, take

_FILL = """
CREATE ROLE keeper;
CREATE TABLE big (id bigint PRIMARY KEY, body text);
INSERT INTO big SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 20000) AS i;
CREATE TABLE "odd ""name" (a int GENERATED ALWAYS AS IDENTITY, b text DEFAULT '');
INSERT INTO "odd ""name" (b) VALUES (NULL), (''), ('x');
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM big;
CREATE INDEX big_body ON big (md5(body));
GRANT SELECT ON big TO keeper;
SELECT lo_from_bytea(0, decode(repeat('ab', 50000), 'hex'));
SELECT lo_from_bytea(0, 'small') FROM generate_series(1, 300);
"""


class Slow(MemoryStore):
    """A store that stops in the middle of everything larger than a chunk."""

    def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield one chunk, then nothing for long."""
        for chunk in super().read(bucket, key, start=start, length=length):
            yield chunk
            time.sleep(0.5)


def _files(store: MemoryStore, cipher: Cipher | None = None) -> SetFiles:
    return SetFiles(store, BUCKET, FOLDER, cipher or Plain())


@pytest.fixture(scope="module")
def filled(cluster: Cluster) -> Iterator[str]:
    """Return the name of a database with something of everything."""
    cluster.create_database("filled")
    with cluster.connect("filled") as connection:
        connection.execute(_FILL)
    yield "filled"
    cluster.drop_database("filled")
    with cluster.connect() as connection:
        connection.execute("DROP ROLE keeper")


@pytest.fixture
def taken(cluster: Cluster, filled: str, tmp_path: Path) -> tuple[MemoryStore, DatabaseDump, StoredFile]:
    """Return a store with a set of that database."""
    store = MemoryStore()
    return store, *take(cluster, filled, store, tmp_path)


def _largest(dump: DatabaseDump) -> StoredFile:
    return max(dump.files, key=lambda file: file.size_bytes)


@pytest.mark.seeded
@pytest.mark.parametrize("encrypted", [False, True])
def test_everything_comes_back(
    cluster: Cluster, filled: str, scratch: ScratchServer, tmp_path: Path, *, encrypted: bool
) -> None:
    identity = pyrage.x25519.Identity.generate()
    cipher: Cipher = Age([str(identity.to_public())], str(identity)) if encrypted else Plain()
    store = MemoryStore()
    dump, globals_ = take(cluster, filled, store, tmp_path, cipher)
    files = _files(store, cipher)
    with scratch.database(Needs.of_dump(dump)) as target:
        restore_globals(files, globals_, target, cluster.binaries / "psql")
        restored = restore_database(files, dump, target, cluster.binaries / "pg_restore")
        with target.session() as session:
            [row] = session.rows(
                "SELECT (SELECT n FROM counted) AS n, (SELECT count(*) FROM pg_largeobject_metadata) AS los,"
                ' (SELECT array_agg(b ORDER BY a) FROM "odd ""name") AS odd,'
                " has_table_privilege('keeper', 'big', 'SELECT') AS granted,"
                " (SELECT reltuples FROM pg_class WHERE relname = 'big') AS analysed"
            )
    assert row == {"n": 20000, "los": 301, "odd": [None, "", "x"], "granted": True, "analysed": 20000}
    assert restored.raw_bytes == dump.raw_bytes
    assert set(restored.phases) == {"fetch", "pre_data", "data", "post_data", "analyze"}
    assert all(seconds >= 0 for seconds in restored.phases.values())


def _flip(body: bytes) -> bytes:
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


@pytest.mark.seeded(2)
@pytest.mark.parametrize("which", ["toc.dat", "small-1.tar", "largest"])
@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "swapped"])
def test_a_damaged_object_is_named(
    cluster: Cluster,
    scratch: ScratchServer,
    taken: tuple[MemoryStore, DatabaseDump, StoredFile],
    which: str,
    how: str,
) -> None:
    store, dump, globals_ = taken
    file = _largest(dump) if which == "largest" else next(f for f in dump.files if f.key.endswith(which))
    body = store.objects.pop(FOLDER + file.key)
    changed = {
        "flipped": _flip(body),
        "truncated": body[: len(body) * 6 // 10],
        "swapped": sealed(b"\\.\n\n\n", Plain()),  # a whole stream, of another table
    }
    if how in changed:
        store.objects[FOLDER + file.key] = changed[how]
    with scratch.database(Needs.of_dump(dump)) as target:
        restore_globals(_files(store), globals_, target, cluster.binaries / "psql")
        with pytest.raises(ProofFailedError, match=file.key):
            restore_database(_files(store), dump, target, cluster.binaries / "pg_restore")


def test_the_wrong_key_is_told_from_damage(
    cluster: Cluster, filled: str, scratch: ScratchServer, tmp_path: Path
) -> None:
    identity, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    store = MemoryStore()
    dump, _ = take(cluster, filled, store, tmp_path, Age([str(identity.to_public())]))
    stranger = Age([str(identity.to_public())], str(other))
    with scratch.database(Needs.of_dump(dump)) as target, pytest.raises(AccessDeniedError, match="decrypted"):
        restore_database(_files(store, stranger), dump, target, cluster.binaries / "pg_restore")
    file = _largest(dump)
    store.objects[FOLDER + file.key] = _flip(store.objects[FOLDER + file.key])
    owner = Age([str(identity.to_public())], str(identity))
    with scratch.database(Needs.of_dump(dump)) as target, pytest.raises(ProofFailedError):
        restore_database(_files(store, owner), dump, target, cluster.binaries / "pg_restore")


def test_the_first_error_of_pg_restore_ends_it_at_once(
    cluster: Cluster, scratch: ScratchServer, taken: tuple[MemoryStore, DatabaseDump, StoredFile]
) -> None:
    store, dump, _ = taken
    slow = Slow(store.objects)
    with scratch.database(Needs.of_dump(dump)) as target:
        with target.session() as session:
            session.rows("CREATE TABLE big (id int)")  # in the way
        begun = time.monotonic()
        with pytest.raises(ProofFailedError, match='relation "big" already exists'):
            restore_database(_files(slow), dump, target, cluster.binaries / "pg_restore")
    assert time.monotonic() - begun < 10


def test_a_restore_that_takes_too_long_ends(
    cluster: Cluster, scratch: ScratchServer, taken: tuple[MemoryStore, DatabaseDump, StoredFile]
) -> None:
    store, dump, globals_ = taken
    with scratch.database(Needs.of_dump(dump)) as target:
        restore_globals(_files(store), globals_, target, cluster.binaries / "psql")
        with pytest.raises(TargetTimeoutError, match=r"did not end within 0\.5 s"):
            restore_database(
                _files(Slow(store.objects)),
                dump,
                target,
                cluster.binaries / "pg_restore",
                options=RestoreOptions(limit_seconds=0.5),
            )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("\\! touch /tmp/x\n", r"hold the command"), ("ALTER ROLE nobody_there;\n", "cannot be restored"), ("", "")],
)
def test_globals_that_no_dump_writes_are_refused(
    cluster: Cluster,
    scratch: ScratchServer,
    taken: tuple[MemoryStore, DatabaseDump, StoredFile],
    line: str,
    complaint: str,
) -> None:
    store, dump, globals_ = taken
    text = b"".join(_files(store).plain(globals_)).decode()
    assert "CREATE ROLE keeper" in text
    text = text.replace("CREATE ROLE keeper", f"CREATE TABLESPACE t LOCATION '/nowhere';\n{line}CREATE ROLE keeper")
    altered = store.put("database/altered.sql.zst", sealed(text.encode(), Plain()))
    cut = store.put("database/cut.sql.zst", sealed(text.encode()[: len(text) // 2], Plain()))
    with scratch.database(Needs.of_dump(dump)) as target:
        if complaint:
            with pytest.raises(ProofFailedError, match=complaint):
                restore_globals(_files(store), altered, target, cluster.binaries / "psql")
        else:
            restore_globals(_files(store), altered, target, cluster.binaries / "psql")
        with pytest.raises(ProofFailedError, match="end before their last line"):
            restore_globals(_files(store), cut, target, cluster.binaries / "psql")


def test_a_server_that_dies_is_worth_another_try(
    cluster: Cluster, taken: tuple[MemoryStore, DatabaseDump, StoredFile]
) -> None:
    store, dump, globals_ = taken

    def die() -> None:
        if feeding.is_set() and not killed:
            killed.append(postmaster)
            os.kill(postmaster, signal.SIGQUIT)

    class Telling(MemoryStore):
        def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
            for chunk in super().read(bucket, key, start=start, length=length):
                yield chunk
                if key.endswith(".dat.zst"):
                    feeding.set()
                    time.sleep(1)

    feeding, killed = Event(), list[int]()
    with (
        scratch_server(18, lambda name: cluster.binaries / name, connect) as server,
        server.database(Needs.of_dump(dump)) as target,
    ):
        with target.session() as session:
            [row] = session.rows("SHOW data_directory")
        postmaster = int((Path(row["data_directory"]) / "postmaster.pid").read_text().split()[0])
        restore_globals(_files(store), globals_, target, cluster.binaries / "psql")
        with pytest.raises(TransientError, match="lost its server"):
            restore_database(_files(Telling(store.objects)), dump, target, cluster.binaries / "pg_restore", check=die)


_PROVER = """
import pickle, sys, time
from pathlib import Path
from tdev_operators.core.backup.cipher import Plain
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.backup.proof.restore import restore_database, restore_globals
from tdev_operators.core.backup.proof.scratch import Needs, scratch_server
from tests.core.backup.proof.sets import BUCKET, FOLDER, MemoryStore, connect

class Hanging(MemoryStore):
    def read(self, bucket, key, *, start=0, length=None):
        for chunk in super().read(bucket, key, start=start, length=length):
            yield chunk
            if key.endswith(".dat.zst"):
                print("hanging", flush=True)
                time.sleep(600)

binaries = Path(sys.argv[1])
store, dump, globals_ = pickle.loads(Path(sys.argv[2]).read_bytes())
files = SetFiles(Hanging(store.objects), BUCKET, FOLDER, Plain())
with scratch_server(18, lambda name: binaries / name, connect) as server:
    with server.database(Needs.of_dump(dump)) as target:
        restore_globals(files, globals_, target, binaries / "psql")
        restore_database(files, dump, target, binaries / "pg_restore")
"""


def test_kill_9_in_the_middle_of_a_restore_leaves_nothing(
    cluster: Cluster, taken: tuple[MemoryStore, DatabaseDump, StoredFile], tmp_path: Path, own_tmpdir: Path
) -> None:
    (tmp_path / "set").write_bytes(pickle.dumps(taken))
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"}
    child = subprocess.Popen(
        [sys.executable, "-c", _PROVER, str(cluster.binaries), str(tmp_path / "set")],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert child.stdout
    assert child.stdout.readline() == b"hanging\n"
    left = list(own_tmpdir.glob("tdev-scratch-*"))
    assert len(left) == 3, "the server's, the dump's and the one of the client programs' password"
    child.kill()
    child.wait()
    child.stdout.close()
    assert sorted(folders.sweep()) == sorted(left)
    deadline = time.monotonic() + 10
    while _commands_with(own_tmpdir) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _commands_with(own_tmpdir) == []


def _commands_with(folder: Path) -> list[str]:
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().decode(errors="replace")
            if str(folder) in line:
                commands.append(line)
    return commands


@pytest.mark.faults
def test_a_thousand_tables_as_fifos(
    cluster: Cluster, database: dict[str, Any], scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.core.backup.proof.sets._SMALL_BYTES", 0)
    with cluster.connect(database["dbname"]) as connection:
        for number in range(1000):
            create = SQL("CREATE TABLE {} AS SELECT {} AS n").format(Identifier(f"t{number}"), number)
            connection.execute(create)
    store = MemoryStore()
    dump, globals_ = take(cluster, database["dbname"], store, tmp_path)
    with scratch.database(Needs.of_dump(dump)) as target:
        restore_globals(_files(store), globals_, target, cluster.binaries / "psql")
        restored = restore_database(_files(store), dump, target, cluster.binaries / "pg_restore")
        with target.session() as session:
            [row] = session.rows("SELECT count(*) AS n FROM pg_class WHERE relname ~ '^t\\d+$' AND reltuples = 1")
    assert row == {"n": 1000}
    assert restored.files == 1002

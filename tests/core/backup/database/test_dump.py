"""Dumps by the real pg_dump into a real store, what stock programs make of them, and what ends them."""

import io
import os
import resource
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
from itertools import groupby
from pathlib import Path

import psycopg
import pytest
import zstandard
from psycopg.sql import SQL, Identifier

from sandbox.fault_proxy import Hang, S3Proxy, When
from sandbox.postgres import Cluster
from tdev_operators.core.backup.cipher import Age, Plain
from tdev_operators.core.backup.database import dump as dump_module
from tdev_operators.core.backup.database.dump import dump_database
from tdev_operators.core.backup.database.tools import tool
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    CommandFailedError,
    GarbledAnswerError,
    ProofFailedError,
    TargetTimeoutError,
    TransientError,
)
from tdev_operators.core.private_folders import PREFIX

MIB = 1024 * 1024
FOLDER = "sys/000001/"


@pytest.fixture(autouse=True)
def _own_spool(tmp_path, monkeypatch):
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    yield
    assert not list(spool.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("tdev-dump", "tdev-scan"))]


@pytest.fixture
def dump(database, store, bucket, settings, helpers):
    def work(
        *, expected=(), cipher=None, snapshot=None, at=None, check=lambda: None, conninfo=None, changed=None, **more
    ):
        conninfo = conninfo or database
        with helpers.exported(database) as exported:
            return dump_database(
                helpers.source_of(conninfo),
                snapshot or exported,
                at or store,
                bucket,
                FOLDER,
                "db",
                settings.model_copy(update=changed or {}),
                cipher or Plain(),
                major=18,
                expected_tables=expected,
                check=check,
                progress=lambda _: None,
                **more,
            )

    return work


def _nothing_stored(store, bucket):
    return list(store.list(bucket)) == [] and list(store.open_uploads(bucket, "")) == []


def _downloaded(s3_server, bucket, folder):
    """What the documentation tells people to do: download, untar, decompress."""
    folder.mkdir()
    prefix = f"{FOLDER}database/db/"
    pages = s3_server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for entry in (entry for page in pages for entry in page.get("Contents", ())):
        s3_server.client.download_file(bucket, entry["Key"], str(folder / entry["Key"].removeprefix(prefix)))
    for archive in folder.glob("*.tar"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
    for packed in folder.glob("*.zst"):
        with packed.open("rb") as source, packed.with_suffix("").open("wb") as target:
            zstandard.ZstdDecompressor().copy_stream(source, target)
        packed.unlink()
    return folder


def _restored(folder, conninfo, cluster):
    name = f"restored_{os.urandom(4).hex()}"
    cluster.create_database(name)
    target = {**conninfo, "dbname": name}
    done = subprocess.run(
        [
            *(tool("pg_restore", 18, "embedded"), "--jobs=2", "--exit-on-error", f"--dbname={name}"),
            *("-h", target["host"], "-p", str(target["port"]), "-U", target["user"], str(folder)),
        ],
        env={"PGPASSWORD": target["password"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def _answer(conninfo, query):
    with psycopg.connect(**conninfo) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.seeded
@pytest.mark.parametrize("jobs", [1, 2])
def test_stock_programs_restore_a_dump(jobs, dump, sql, database, cluster, s3_server, bucket, tmp_path):
    sql(
        "CREATE TABLE big AS SELECT i, md5(i::text) || repeat(md5((i * 7)::text), 3) AS t "
        "FROM generate_series(1, 150000) i",
        "CREATE TABLE small AS SELECT i FROM generate_series(1, 10) i",
        'CREATE SCHEMA "odd one"; CREATE TABLE "odd one"."with \n line and blank" AS SELECT 1 AS x',
        "CREATE TABLE empty (x int)",
        "SELECT lo_from_bytea(0, ('x' || i)::bytea) FROM generate_series(1, 20) i",
    )
    expected = [("public", "big"), ("public", "small"), ("odd one", "with \n line and blank"), ("public", "empty")]
    result = dump(expected=expected, changed={"parallel_jobs": jobs})
    names = [file.key.removeprefix("database/db/") for file in result.files]
    assert names[-1] == "toc.dat"
    assert [name for name in names if name.endswith(".dat.zst")] == names[:1]
    assert names[1] == "small-0.tar"
    assert result.raw_bytes > 15 * MIB > result.stored_bytes == sum(file.size_bytes for file in result.files)
    assert result.tool.startswith("pg_dump 18.")
    target = _restored(_downloaded(s3_server, bucket, tmp_path / "dump"), database, cluster)
    for query in (
        "SELECT count(*), sum(hash_record_extended(r, 0)) FROM big r",
        'SELECT * FROM "odd one"."with \n line and blank"',
        "SELECT sum(i) FROM small",
        "SELECT count(*) FROM empty",
        "SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY 1",
    ):
        assert _answer(database, query) == _answer(target, query)
    cluster.drop_database(target["dbname"])


@pytest.mark.faults
def test_five_thousand_large_objects_become_a_few_tars(dump, sql, bucket, database, s3_server, tmp_path):
    sql("SELECT lo_from_bytea(0, repeat(i::text, 20)::bytea) FROM generate_series(1, 5000) i")
    result = dump(changed={"pack_mb": 2})
    names = [file.key.removeprefix("database/db/") for file in result.files]
    assert names[:2] == ["small-0.tar", "small-1.tar"]
    assert len(names) < 10
    folder = _downloaded(s3_server, bucket, tmp_path / "dump")
    dumped = {(int(file.stem.removeprefix("blob_")), file.read_bytes()) for file in folder.glob("blob_*.dat")}
    assert dumped == set(_answer(database, "SELECT oid::bigint, lo_get(oid) FROM pg_largeobject_metadata"))
    assert len(dumped) == 5000


def test_an_old_server_with_another_encoding_and_an_odd_name(supervisor, store, bucket, settings, helpers):
    old = Cluster(supervisor, "test-dump-16", version=16).start()
    name = "o'dd = na\\me"
    try:
        with old.connect() as connection:
            connection.execute(
                SQL("CREATE DATABASE {} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").format(
                    Identifier(name)
                )
            )
        conninfo = old.conninfo(name)
        with psycopg.connect(**conninfo, autocommit=True) as connection:
            connection.execute('CREATE TABLE "größe m" AS SELECT i FROM generate_series(1, 1000) i')
            connection.execute("SELECT lo_from_bytea(0, 'x') FROM generate_series(1, 30) i")
        with helpers.exported(conninfo) as snapshot:

            def dumped(table):
                return dump_database(
                    helpers.source_of(conninfo),
                    *(snapshot, store, bucket, FOLDER, "db", settings, Plain()),
                    major=16,
                    expected_tables=[("public", table)],
                    check=lambda: None,
                    progress=lambda _: None,
                    encoding="LATIN1",
                )

            with pytest.raises(ProofFailedError, match="public größe n"):
                dumped("größe n")
            assert _nothing_stored(store, bucket)
            assert dumped("größe m").tool.startswith("pg_dump 16.")
    finally:
        old.stop()


def test_rows_of_50_mb_pass_in_bounded_memory(dump, sql, settings):
    sql(
        "CREATE TABLE wide (t text)",
        "ALTER TABLE wide ALTER t SET STORAGE EXTERNAL",
        "INSERT INTO wide SELECT repeat(md5(i::text), 50 * 1024 * 1024 / 32) FROM generate_series(1, 3) i",
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = dump(expected=[("public", "wide")])
    assert result.raw_bytes > 150 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB
    assert result.peak_spool_bytes <= settings.spool_mb * settings.parallel_jobs * MIB


def test_encrypted_files_open_with_the_identity(dump, sql, store, bucket):
    from pyrage import x25519

    sql("CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 50000) i", "CREATE TABLE s AS SELECT 1 AS x")
    identity = x25519.Identity.generate()
    cipher = Age([str(identity.to_public())], str(identity))
    result = dump(expected=[("public", "t"), ("public", "s")], cipher=cipher)
    keys = [file.key for file in result.files]
    assert keys[1:] == ["database/db/small-0.tar", "database/db/toc.dat.age"]
    assert keys[0].endswith(".dat.zst.age")
    opened = b"".join(cipher.open(store.read(bucket, FOLDER + keys[0])))
    assert zstandard.ZstdDecompressor().stream_reader(io.BytesIO(opened)).read().count(b"\n") > 50000
    with tarfile.open(fileobj=io.BytesIO(store.read_whole(bucket, FOLDER + keys[1], max_bytes=MIB))) as tar:
        [member] = tar.getmembers()
        assert member.name.endswith(".dat.zst.age")
        assert b"age-encryption" in tar.extractfile(member).read()


def _many_rows(sql):
    sql(
        "CREATE TABLE many AS SELECT i, md5(i::text) || md5((-i)::text) AS t FROM generate_series(1, 700000) i",
        "CREATE TABLE more AS SELECT * FROM many",
    )


def test_killing_pg_dump_ends_it_with_nothing_stored(dump, sql, store, bucket):
    _many_rows(sql)
    killed = []

    def check():
        if not killed:
            [child] = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "-x", "pg_dump"], capture_output=True, text=True, check=True
            ).stdout.split()
            os.kill(int(child), signal.SIGKILL)
            killed.append(child)

    started = time.monotonic()
    with pytest.raises(TransientError, match="killed by signal 9"):
        dump(expected=[("public", "many")], check=check)
    assert time.monotonic() - started < 10
    assert killed
    assert _nothing_stored(store, bucket)


def test_a_killed_backend_is_a_transient_error(dump, sql, store, bucket, database):
    _many_rows(sql)
    copying = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    copying += " AND application_name = 'pg_dump' AND state = 'active' AND query LIKE 'COPY%'"

    def check():
        deadline = time.monotonic() + 10
        while not _answer(database, copying) and time.monotonic() < deadline:
            time.sleep(0.01)

    with pytest.raises(TransientError, match="lost its server"):
        dump(check=check)
    assert _nothing_stored(store, bucket)


def test_a_lost_lease_ends_the_dump_at_once(dump, sql, store, bucket, monkeypatch):
    _many_rows(sql)
    monkeypatch.setattr(dump_module.DumpUploads, "complete", lambda *_: pytest.fail("it went on to the end"))

    def check():
        raise BusyError("the lease is lost")

    started = time.monotonic()
    with pytest.raises(BusyError, match="lease"):
        dump(check=check)
    assert time.monotonic() - started < 5
    assert _nothing_stored(store, bucket)


def test_a_lease_lost_while_it_completes_leaves_nothing(dump, sql, store, bucket, monkeypatch):
    sql("CREATE TABLE t AS SELECT 1 AS x")
    completing = []
    complete = dump_module.DumpUploads.complete

    def noted(self, check):
        completing.append(True)
        return complete(self, check)

    monkeypatch.setattr(dump_module.DumpUploads, "complete", noted)

    def check():
        if completing:
            raise BusyError("the lease is lost")

    with pytest.raises(BusyError):
        dump(check=check)
    assert _nothing_stored(store, bucket)


@pytest.mark.faults
def test_a_store_that_hangs_ends_it_in_bounded_time_with_bounded_disk(
    dump, sql, store, bucket, s3_server, s3_port, helpers, monkeypatch
):
    sql(
        "CREATE TABLE many AS SELECT i, md5(i::text) || md5((-i)::text) || md5((i * 3)::text) AS t "
        "FROM generate_series(1, 1500000) i",
        "CREATE TABLE more AS SELECT * FROM many",
    )
    peaks = []
    scan = dump_module.DumpDirectory.scan

    def measured(self, pid):
        scan(self, pid)
        peaks.append((self.peak_bytes, self.backlog_bytes))

    monkeypatch.setattr(dump_module.DumpDirectory, "scan", measured)
    with (
        S3Proxy(s3_port) as proxy,
        helpers.store_at(proxy.endpoint_url, s3_server, timeout_seconds=2, patience_seconds=1) as slow,
    ):
        hang = proxy.faults.arm(Hang(), times=None, when=When(after_bytes=20 * MIB))
        started = time.monotonic()
        with pytest.raises(TransientError):
            dump(expected=[("public", "many")], at=slow, changed={"spool_mb": 16})
        assert time.monotonic() - started < 60
        hang.require_fired()
    # Two workers with 16 MiB each, and what they write between two looks.
    assert 8 * MIB < max(peak for peak, _ in peaks) <= 40 * MIB
    assert max(len(list(same)) for _, same in groupby(backlog for _, backlog in peaks)) >= 10, "it never stood still"
    assert not list(store.list(bucket))


def test_a_lock_of_somebody_else_is_busy_and_names_the_table(dump, sql, database):
    sql("CREATE TABLE held (x int)")
    with psycopg.connect(**database) as other:
        other.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BusyError, match="held"):
            dump(expected=[("public", "held")], changed={"lock_wait_seconds": 0.3})


def test_missing_privileges_name_the_object(dump, sql, database, cluster):
    name = f"reader_{os.urandom(4).hex()}"
    cluster.create_role(name)
    sql("CREATE TABLE closed (x int)", f"GRANT CONNECT ON DATABASE {database['dbname']} TO {name}")
    reader = cluster.conninfo(database["dbname"], user=name)
    try:
        with pytest.raises(AccessDeniedError, match="table closed"):
            dump(conninfo=reader)
        sql(f"GRANT SELECT ON closed TO {name}", "ALTER TABLE closed ENABLE ROW LEVEL SECURITY")
        with pytest.raises(AccessDeniedError, match=r"closed.*BYPASSRLS"):
            dump(conninfo=reader)
        sql("ALTER TABLE closed DISABLE ROW LEVEL SECURITY", "SELECT lo_create(0)")
        with pytest.raises(AccessDeniedError, match="large object"):
            dump(conninfo=reader)
    finally:
        sql(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_snapshot_that_is_gone_is_transient(dump):
    with pytest.raises(TransientError, match="snapshot"):
        dump(snapshot="00000099-0000FFFF-1")


@pytest.fixture
def fake(tmp_path):
    """Make settings whose pg_dump runs a script; REAL is the true one."""

    def work(script):
        folder = tmp_path / "fake"
        folder.mkdir()
        real = tool("pg_dump", 18, "embedded")
        (folder / "pg_restore").symlink_to(tool("pg_restore", 18, "embedded"))
        program = folder / "pg_dump"
        program.write_text(f'#!/bin/bash\nREAL={real}\n[ "$1" = --version ] && exec $REAL --version\n{script}\n')
        program.chmod(0o755)
        return {"client_tools": str(folder)}

    return work


@pytest.mark.seeded(2)
@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ('$REAL "$@" -T lost', ProofFailedError, "without the data of public lost"),
        ('$REAL "$@"; rm ${2#--file=}/*.dat.x; echo "pg_dump: error: woe" >&2; exit 0', CommandFailedError, "woe"),
        ('$REAL "$@"; exit 1', CommandFailedError, "exit status 1"),
        ('$REAL "$@"; echo pg_dump: error: No space left on device >&2; exit 1', TransientError, "disk of TMPDIR"),
        ('$REAL "$@"; head -c 3000000 /dev/zero | tr "\\\\0" x >&2', GarbledAnswerError, "complained endlessly"),
        ('$REAL "$@"; rm ${2#--file=}/toc.dat', GarbledAnswerError, "no table of contents"),
        ('$REAL "$@"; truncate -s 300 ${2#--file=}/toc.dat', CommandFailedError, "pg_restore --list"),
        ("exit 0", GarbledAnswerError, "no table of contents"),
        ("sleep 600", TargetTimeoutError, "did not move for 1 s"),
        ('$REAL "$@"; exec sleep 600', TargetTimeoutError, "did not move for 1 s"),
    ],
)
def test_a_pg_dump_that_misbehaves_is_not_believed(script, error, words, dump, fake, sql, store, bucket):
    sql("CREATE TABLE kept AS SELECT 1 AS x", "CREATE TABLE lost AS SELECT 2 AS x")
    with pytest.raises(error, match=words):
        dump(expected=[("public", "kept"), ("public", "lost")], changed=fake(script), stall_seconds=1)
    assert _nothing_stored(store, bucket)


def test_a_data_file_that_never_came_is_noticed(dump, fake, sql, store, bucket):
    sql("CREATE TABLE t AS SELECT 1 AS x")
    elsewhere = (
        'out=${2#--file=}; $REAL "$1" --file=$out.other "${@:3}" && rm $out.other/[0-9]*.dat && mv $out.other $out'
    )
    with pytest.raises(ProofFailedError, match="did not write: public t"):
        dump(expected=[("public", "t")], changed=fake(elsewhere))
    assert _nothing_stored(store, bucket)


def test_a_large_object_that_never_came_is_noticed(dump, fake, sql, store, bucket):
    sql("SELECT lo_from_bytea(0, 'x') FROM generate_series(1, 3) i")
    elsewhere = (
        'out=${2#--file=}; $REAL "$1" --file=$out.x "${@:3}" && rm $(ls $out.x/blob_*.dat | head -1) && mv $out.x $out'
    )
    with pytest.raises(GarbledAnswerError, match="listed 3 large objects and wrote 2"):
        dump(changed=fake(elsewhere))
    assert _nothing_stored(store, bucket)


def test_warnings_are_no_errors(dump, fake, sql):
    sql("CREATE TABLE t AS SELECT 1 AS x")
    warned = 'echo "pg_dump: warning: there are circular foreign-key constraints" >&2; exec $REAL "$@"'
    assert dump(expected=[("public", "t")], changed=fake(warned)).files


def test_what_a_dead_worker_left_is_removed_and_what_lives_is_not(dump, sql):
    root = Path(tempfile.gettempdir())
    dead = root / f"{PREFIX}dead"
    (dead / "dump").mkdir(parents=True)
    (dead / "owner.lock").touch()
    (dead / "dump" / "1.dat").write_bytes(b"x")
    with dump_module.spool() as living:
        dump()
        assert not dead.exists()
        assert living.exists()

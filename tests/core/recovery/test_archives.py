"""The guide's old archives, as its script made them, and as they are when something went wrong."""

import gzip
import io
import subprocess
import tarfile
from contextlib import contextmanager

import pytest

from tdev_operators.core.errors import InputError, ProofFailedError
from tdev_operators.core.recovery import archives
from tdev_operators.core.recovery.archive_restore import ArchiveRestore, restore_kind
from tdev_operators.core.recovery.archives import restricted
from tdev_operators.core.recovery.restore import Restore
from tdev_operators.core.recovery.told import results_of
from tests.core.backup.whole_sets import verdicts

KEY = "20251101.tar.gz"
FOLDER = "backups/20251101"


@pytest.fixture(scope="session")
def plain_sql(_worst_house):
    """What the guide's script dumps."""
    source = _worst_house.system.source
    info = source.conninfo("t_developer")
    environment = {"PGPASSWORD": info["password"], "PATH": "/usr/bin:/bin"}
    argv = [source.binaries / "pg_dump", "-h", info["host"], "-p", str(info["port"]), "-U", "postgres", "t_developer"]
    return subprocess.run(argv, env=environment, capture_output=True, check=True).stdout


def archive(sql, objects=(), *, cut=0):
    """The guide's archive, made as its script makes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        for name, body in ((f"{FOLDER}/database.sql", sql), *objects):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            made.addfile(member, io.BytesIO(body))
    return out.getvalue()[: -cut or None]


@pytest.fixture
def stored(day):
    """Put an archive into the backups bucket; it goes at the end."""
    bucket, keys = day.settings.buckets.backups, []

    def put(body, key=KEY):
        keys.append(key)
        day.house.client.put_object(Bucket=bucket, Key=key, Body=body)
        return key

    yield put
    for key in keys:
        day.house.client.delete_object(Bucket=bucket, Key=key)


@contextmanager
def archive_restore(day, request):
    with day.ports() as ports:
        yield restore_kind(request.which)(ports, day.settings, request)


def test_a_set_is_no_archive():
    assert restore_kind("") is Restore
    assert restore_kind("2026-11-25") is Restore
    assert restore_kind("20251101.tar.gz") is ArchiveRestore
    assert restore_kind("backup-20251101.tar.gz") is ArchiveRestore


@pytest.mark.seeded
@pytest.mark.parametrize("key", [KEY, "backup-20251101.tar.gz"])
def test_an_archive_of_the_guide_is_restored_beside_and_into_a_scratch_place(day, plain_sql, stored, key):
    big = b"x" * 9_000_000
    objects = [(f"{FOLDER}/agents/a/1.0.0.py", b"print(1)"), (f"{FOLDER}/checkpoints/c.bin", big)]
    stored(archive(plain_sql, objects), key)
    request = day.request(which=key, buckets=("agents", "checkpoints"), buckets_into="scratch")
    with archive_restore(day, request) as restore:
        assert restore.chosen()["missing"].startswith("it is an archive")
        assert "is read as a stream" in restore.preflight()[0]
        restored = restore.restore_database()
        buckets = restore.restore_buckets()
        found = verdicts(results_of(restore.journal))
    assert restored.name == "restored_from_20251101"
    with day.system.source.connect(restored.name) as copy, day.system.database() as live:
        count = "SELECT count(*) FROM agents"
        assert copy.execute(count).fetchone() == live.execute(count).fetchone()
    assert [(bucket.name, bucket.written) for bucket in buckets] == [("agents", 1), ("checkpoints", 1)]
    prefix = f"{day.house.name}/restored/{request.recovery_id}/"
    assert day.house.read(f"{prefix}agents/a/1.0.0.py") == b"print(1)"
    assert day.house.read(f"{prefix}checkpoints/c.bin") == big
    assert found["restore.database"] == "UNKNOWN", "an archive has no proof"
    with archive_restore(day, request) as restore:
        assert restore.restore_database() == restored, "done once more, it is the same"


@pytest.mark.seeded(2)
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda sql: archive(sql[: len(sql) // 2].rpartition(b"\n")[0] + b"\n\\.\n"), "cut off|cannot be restored"),
        (lambda sql: archive(sql.replace(b"-- PostgreSQL database dump complete", b"")), "does not end with"),
        (lambda sql: archive(sql + b"\n\\! touch /tmp/owned\n"), "cannot be restored: .*restrict"),
        (lambda sql: archive(b"\\connect postgres\n" + sql), "cannot be restored: .*restrict"),
        (lambda sql: archive(b"SELECT 1/0;\n" + sql), "division by zero"),
        (lambda sql: archive(sql, cut=20), "damaged or cut off"),
        (lambda sql: archive(sql)[:4000] + b"\0" * 100 + archive(sql)[4100:], "damaged or cut off|cannot be restored"),
        (lambda _sql: b"no archive at all", "damaged or cut off"),
        (lambda _sql: gzip.compress(b"no tar"), "damaged or cut off"),
    ],
    ids=["half", "no-trailer", "shell", "connect", "error", "cut", "damaged", "no-gzip", "no-tar"],
)
def test_an_archive_that_is_not_whole_leaves_nothing_beside_the_live_database(day, plain_sql, stored, spoil, says):
    stored(spoil(plain_sql))
    before = day.names()
    with archive_restore(day, day.request(which=KEY)) as restore:
        restore.preflight()
        with pytest.raises(ProofFailedError, match=says):
            restore.restore_database()
    assert day.names() == before


def test_a_tar_without_the_guides_sql_is_refused(day, stored):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("README"), io.BytesIO(b""))
    stored(out.getvalue())
    with (
        archive_restore(day, day.request(which=KEY)) as restore,
        pytest.raises(ProofFailedError, match=r"no database\.sql"),
    ):
        restore.restore_database()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"database": "live"}, "holds no proof"),
        ({"tables": ("agents",)}, "all of its tables or none"),
        ({"buckets": ("agents",)}, "scratch place"),
    ],
)
def test_an_archive_never_becomes_live(day, plain_sql, stored, asked, says):
    stored(archive(b""))
    with archive_restore(day, day.request(which=KEY, **asked)) as restore, pytest.raises(InputError, match=says):
        restore.chosen()


def test_a_missing_archive_names_those_that_are_there(day, stored):
    stored(archive(b""), "backup-20251102.tar.gz")
    with (
        archive_restore(day, day.request(which=KEY)) as restore,
        pytest.raises(InputError, match=r"choose from: backup-20251102\.tar\.gz"),
    ):
        restore.chosen()


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_rows_that_look_like_commands_pass_and_the_dumps_own_guards_do_not(size, monkeypatch):
    monkeypatch.setattr(archives, "_LONGEST_HELD", 100)
    sql = (
        b"\\restrict abc\nSET x = 1;\nCOPY t (a) FROM stdin;\n\\N\n\\restrict me\n\\.\n"
        b"SELECT 1;\n" + b"y" * 300 + b"\nCOPY u FROM stdin;\n" + b"z" * 250 + b"\n\\unrestrict x\n\\.\n"
        b"\\unrestrict abc\n-- end"
    )
    chunks = (sql[at : at + size] for at in range(0, len(sql), size)) if size > 1 else iter([sql])
    guard, _, rest = b"".join(restricted(chunks)).partition(b"\n")
    assert guard.startswith(b"\\restrict ")
    assert len(guard) > 40
    assert rest == sql.replace(b"\\restrict abc\n", b"").replace(b"\\unrestrict abc\n", b"")

"""`backup-YYYYMMDD.tar.gz`: exported, unpacked by tar, restored by pg_restore, compared. Damage ends in no archive."""

import gzip
import hashlib
import io
import json
import os
import re
import secrets
import subprocess
import tarfile
import tracemalloc
from datetime import UTC, datetime

import psycopg
import pyrage
import pytest

from tdev_operators.core.backup import export as module
from tdev_operators.core.backup.cipher import Age, Plain
from tdev_operators.core.backup.export import Exported, export_set
from tdev_operators.core.backup.export_reading import SetReader, age_plain_bytes
from tdev_operators.core.backup.manifest import MANIFEST, State
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.set_records import files_of
from tdev_operators.core.errors import AccessDeniedError, InputError, ProofFailedError, TargetUnreachableError
from tests.backup_sets import open_store
from tests.core.backup.export_sets import OBJECTS, odd, take
from tests.debian import needs_debian

MIB = 1024 * 1024
IDENTITY = pyrage.x25519.Identity.generate()
AGE = Age([str(IDENTITY.to_public())], str(IDENTITY))
NAME = "backup-20261125"


@pytest.fixture
def sets(s3_server):
    target = f"backups-{secrets.token_hex(6)}"
    s3_server.client.create_bucket(Bucket=target)
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield Repository(store, target, "app")


def exported(sets, set_id, cipher, path):
    said = []
    with path.open("wb") as file:
        told = export_set(sets, sets.get(set_id), cipher, file.write, progress=said.append)
    assert told.archive_bytes == path.stat().st_size
    return told, said


@pytest.mark.seeded
@pytest.mark.parametrize("cipher", [Plain(), AGE], ids=["plain", "age"])
def test_exported_unpacked_and_restored(sets, bucket, database, cluster, cipher, tmp_path):
    needs_debian("zstd", "/usr/bin/zstd")
    set_id = take(sets, bucket, database, cipher)
    told, said = exported(sets, set_id, cipher, tmp_path / "one.tar.gz")
    assert isinstance(told, Exported)
    assert said[-1].startswith(f"Exported {set_id} in ")
    assert told.odd_keys == 1
    subprocess.run(["tar", "-xzf", "one.tar.gz"], cwd=tmp_path, check=True, capture_output=True)
    root = tmp_path / NAME
    assert sum(path.is_file() for path in root.rglob("*")) == told.files

    text = (root / "README.txt").read_text(encoding="utf-8")
    assert set_id in text
    assert "ATTENTION" not in text
    names = {json.loads(key): name for name, key in re.findall(r"^(buckets/\S+)\t(.*)$", text, re.MULTILINE)}
    assert names.keys() == {".odd-keys/mine"}
    for key, body in OBJECTS.items():
        path = root / names.get(key, f"buckets/agents/{key}")
        assert path.read_bytes() == body, key
        written = sets.store.find(bucket, key).modified
        assert abs(datetime.fromtimestamp(path.stat().st_mtime, UTC) - written).total_seconds() < 2
    assert (root / MANIFEST).read_bytes() == sets.get(set_id).manifest.to_bytes()
    assert "CREATE ROLE postgres" in (root / "globals.sql").read_text(encoding="utf-8")

    dumped = root / "database" / database["dbname"]
    assert subprocess.run(["zstd", "-dcq", f"{dumped}.proof.json.zst"], capture_output=True, check=True).stdout == b"{}"
    assert all(path.name.endswith((".dat.zst", ".toc.zst")) or path.name == "toc.dat" for path in dumped.iterdir())
    # The commands of README.txt, for a pg_restore without zstd, which the tests' is.
    unpack = re.search(r"find .* -exec .*", text)[0]
    subprocess.run(["bash", "-c", unpack], cwd=root, check=True)
    restored = f"test_{secrets.token_hex(6)}"
    cluster.create_database(restored)
    try:
        environment = {
            "PGHOST": cluster.host,
            "PGPORT": str(cluster.port),
            "PGUSER": "postgres",
            "PGPASSWORD": database["password"],
        }
        argv = [str(cluster.binaries / "pg_restore"), "--exit-on-error", "--jobs=2", f"--dbname={restored}"]
        argv.append(f"database/{database['dbname']}")
        subprocess.run(argv, cwd=root, env=environment, check=True, capture_output=True)
        assert _content(cluster.conninfo(restored)) == _content(database)
    finally:
        cluster.drop_database(restored)


def _content(conninfo):
    with psycopg.connect(**conninfo) as connection:
        tables = {
            name: connection.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1").fetchall()
            for name in ("big", "small", "none")
        }
        large = connection.execute("SELECT lo_get(oid) FROM pg_largeobject_metadata ORDER BY 1").fetchall()
    assert [len(rows) for rows in tables.values()] == [12_000, 20, 0]
    assert len(large) == 5
    return tables, large


def _damage(sets, key):
    body = bytearray(b"".join(sets.store.read(sets.bucket, key)))
    body[len(body) // 2] ^= 1
    sets.store.put(sets.bucket, key, bytes(body))


@pytest.mark.seeded
@pytest.mark.parametrize("cipher", [Plain(), AGE], ids=["plain", "age"])
def test_one_damaged_byte_anywhere_ends_in_no_whole_archive(sets, bucket, database, cipher, tmp_path):
    set_id = take(sets, bucket, database, cipher)
    manifest, folder = sets.get(set_id).manifest, sets.folder(set_id)
    reader = SetReader(sets.store, module.Place(sets.bucket, sets.root), folder, cipher)
    copies = {entry.at for entry in reader.entries(manifest.buckets[0].index) if not entry.packed}
    assert copies
    not_exported = {snapshot.marks.key for snapshot in manifest.buckets if snapshot.marks}
    keys = sorted({file.key for file in files_of(manifest)} - not_exported | copies)
    assert any(key.endswith(".tar") for key in keys)
    for key in keys:
        whole = b"".join(sets.store.read(sets.bucket, folder + key))
        _damage(sets, folder + key)
        if key.startswith("buckets/agents/packs/"):  # the middle of a pack may be padding, which nobody misses
            first = next(entry for entry in reader.entries(manifest.buckets[0].index) if entry.packed and entry.length)
            body = bytearray(whole)
            body[first.offset] ^= 1
            sets.store.put(sets.bucket, folder + key, bytes(body))
        with pytest.raises(ProofFailedError):
            exported(sets, set_id, cipher, tmp_path / "damaged.tar.gz")
        with pytest.raises(EOFError):
            gzip.decompress((tmp_path / "damaged.tar.gz").read_bytes() or b"\x1f\x8b")
        sets.store.put(sets.bucket, folder + key, whole)
    exported(sets, set_id, cipher, tmp_path / "whole.tar.gz")
    for key in keys:
        whole = b"".join(sets.store.read(sets.bucket, folder + key))
        sets.store.delete(sets.bucket, [folder + key])
        with pytest.raises(ProofFailedError):
            exported(sets, set_id, cipher, tmp_path / "missing.tar.gz")
        sets.store.put(sets.bucket, folder + key, whole)


class Failing:
    """A store that fails in the middle of every object but the index."""

    def __init__(self, real, error):
        self.real, self.error = real, error

    def __getattr__(self, name):
        return getattr(self.real, name)

    def read(self, bucket, key, **ranged):
        chunks = self.real.read(bucket, key, **ranged)
        if "globals" not in key:
            return chunks
        return self._some(chunks)

    def _some(self, chunks):
        yield next(chunks)[:10]
        raise self.error


@pytest.mark.parametrize("cipher", [Plain(), AGE], ids=["plain", "age"])
def test_what_the_store_refuses_is_not_called_damage(sets, bucket, database, cipher):
    set_id = take(sets, bucket, database, cipher)
    found = sets.get(set_id)
    for error in (AccessDeniedError("The token has expired."), TargetUnreachableError("Gone.")):
        failing = Repository(Failing(sets.store, error), sets.bucket, "app")
        with pytest.raises(type(error), match=str(error)):
            export_set(failing, found, cipher, lambda _: None)
        files = SetFiles(failing.store, sets.bucket, sets.folder(set_id), cipher)
        with pytest.raises(type(error), match=str(error)):
            list(files.plain(found.manifest.globals))


def test_an_identity_that_is_none_of_the_recipients_is_said(sets, bucket, database):
    set_id = take(sets, bucket, database, AGE)
    stranger = Age([], str(pyrage.x25519.Identity.generate()))
    with pytest.raises(AccessDeniedError, match="none of our age identities"):
        export_set(sets, sets.get(set_id), stranger, lambda _: None)


def test_a_name_that_would_leave_the_folder_is_refused(sets, bucket, database):
    set_id = take(sets, bucket, database, Plain())
    found = sets.get(set_id)
    dump = found.manifest.databases[0].model_copy(update={"name": "../../etc"})
    hostile = module.SetOnDisk(
        set_id,
        1,
        State.PROVEN,
        manifest=found.manifest.model_copy(update={"databases": (dump,)}),
        manifest_sha256=found.manifest_sha256,
    )
    with pytest.raises(InputError, match="cannot be the name of a file"):
        export_set(sets, hostile, Plain(), lambda _: None)


@pytest.mark.faults
def test_memory_is_bounded_whatever_an_object_holds(sets, bucket, database):
    large = {f"large/{number}": os.urandom(20 * MIB) for number in range(3)}
    large |= {f"small/{number:04d}": os.urandom(7000) for number in range(700)}
    set_id = take(sets, bucket, database, Plain(), objects=large)
    del large
    tracemalloc.start()
    told = export_set(sets, sets.get(set_id), Plain(), lambda _: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told.plain_bytes > 64 * MIB
    assert peak < 16 * MIB  # one object alone has 20


def test_the_size_of_what_age_sealed_follows_from_its_format():
    for size in (0, 1, 65_535, 65_536, 65_537, 3 * 65_536, 1_000_001):
        sealed = b"".join(AGE.seal([b"x" * size]))
        assert age_plain_bytes(sealed[:65_536], len(sealed)) == size
    assert age_plain_bytes(b"no age file", 11) is None
    assert age_plain_bytes(sealed[:30], len(sealed)) is None


def test_progress_is_told(sets, bucket, database, monkeypatch):
    monkeypatch.setattr(module, "_PACE_SECONDS", 0)
    set_id = take(sets, bucket, database, Plain())
    said = []
    export_set(sets, sets.get(set_id), Plain(), lambda _: None, progress=said.append)
    assert re.fullmatch(r"Exported \d+ of about \d+ MB, [\d.]+ MB/s, .* left\.", said[0])


def test_an_unproven_set_says_so_in_its_readme(sets, bucket, database):
    set_id = take(sets, bucket, database, Plain(), proven=False)
    archive = io.BytesIO()
    export_set(sets, sets.get(set_id), Plain(), archive.write)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        assert b"nobody has restored this set yet" in tar.extractfile(f"{NAME}/README.txt").read()
        digest = hashlib.sha256(tar.extractfile(f"{NAME}/{MANIFEST}").read()).hexdigest()
    assert digest == sets.get(set_id).manifest_sha256


def test_keys_that_no_tar_may_hold_stand_under_other_names(sets, tmp_path):
    keys = {
        "../../etc/passwd",
        "/absolute",
        "a//b",
        "ends/",
        "..",
        "x/./y",
        "shadow",
        "shadow/below",
        "plain",
        "x\n\ty",
    }
    set_id = odd(sets, keys)
    told, _ = exported(sets, set_id, Plain(), tmp_path / "one.tar.gz")
    plain = {"plain", "shadow", "x\n\ty"}
    assert told.odd_keys == len(keys - plain)
    done = subprocess.run(["tar", "-xzf", "one.tar.gz"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stderr == "", "tar itself has nothing to mend"
    root = tmp_path / NAME
    text = (root / "README.txt").read_text(encoding="utf-8")
    names = {json.loads(key): name for name, key in re.findall(r"^(buckets/\S+)\t(.*)$", text, re.MULTILINE)}
    assert names.keys() == keys - plain
    for key in keys:
        assert (root / names.get(key, f"buckets/agents/{key}")).read_text(encoding="utf-8") == repr(key)
    assert {path.name for path in tmp_path.iterdir()} == {"one.tar.gz", NAME}

"""`tdev backup export`: one whole file under its name or none, and errors that say what to change."""

import argparse
import io
import json
import os
import resource
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pyrage
import pytest

from tdev_operators.cli import backup as command
from tdev_operators.cli import backup_export
from tdev_operators.core.backup.cipher import Age, Plain
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.errors import InputError, ProofFailedError, SetupMissingError, TransientError
from tdev_operators.core.settings import SETTINGS_VARIABLE
from tdev_operators.core.sql import include_dir
from tests.backup_sets import complete_set, open_store
from tests.core.backup.export_sets import odd, take
from tests.records import settings

NAME = "backup-20261125.tar.gz"


@pytest.fixture
def sets(s3_server, bucket):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield Repository(store, bucket, "app")


@pytest.fixture
def connections(s3_server):
    connection = {
        "conn_type": "aws",
        "login": s3_server.access_key,
        "password": s3_server.secret_key,
        "extra": {"region_name": "us-east-1", "endpoint_url": s3_server.endpoint_url},
    }
    return {"AIRFLOW_CONN_TDEV_AWS": json.dumps(connection)}


@pytest.fixture
def tdev(sets, connections):
    shipped = settings()
    ours = shipped.model_copy(
        update={
            "system": shipped.system.model_copy(update={"name": "app"}),
            "buckets": shipped.buckets.model_copy(update={"backups": sets.bucket}),
        }
    )

    def run(*words, environment=None):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        out = io.StringIO()
        arguments = parser.parse_args(["export", *words])
        status = command.backup(arguments, environment=environment or connections, settings=ours, out=out)
        return status, out.getvalue()

    return run


@pytest.fixture
def source(s3_server, bucket):
    s3_server.client.create_bucket(Bucket=f"{bucket}-source")
    return f"{bucket}-source"


def test_the_newest_proven_set_is_exported_under_the_name_of_the_guide(sets, tdev, source, database, tmp_path, capsys):
    set_id = take(sets, source, database, Plain())
    odd(sets, {"newer, not proven"})
    status, text = tdev("--to", str(tmp_path))
    path = tmp_path / NAME
    assert (status, text) == (0, f"{path} holds {set_id}; README.txt in it tells how to restore.\n")
    assert [each.name for each in tmp_path.iterdir()] == [NAME]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"Exported {set_id}" in capsys.readouterr().err
    with tarfile.open(path) as tar:
        assert tar.getnames()[:2] == ["backup-20261125/README.txt", "backup-20261125/manifest.json"]
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists already and is not replaced"):
        tdev("--to", str(tmp_path))
    assert path.read_bytes() == before
    other = tmp_path / "other"
    other.mkdir()
    told = json.loads(tdev("1", "--to", str(other), "--json")[1])
    assert (told["set_id"], told["path"], told["state"]) == (set_id, str(other / NAME), "PROVEN")
    assert told["archive_bytes"] == (other / NAME).stat().st_size


def test_an_unproven_set_needs_a_word_and_is_named_as_such(sets, tdev, tmp_path, capsys):
    set_id = odd(sets, {"a"})
    with pytest.raises(InputError, match="is PROVEN"):
        tdev("--to", str(tmp_path))
    with pytest.raises(InputError, match=r"is COMPLETE: nobody has restored it yet; .* --unproven"):
        tdev("newest", "--to", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert tdev("newest", "--to", str(tmp_path), "--unproven")[0] == 0
    assert f"Note: {set_id} is COMPLETE, not PROVEN" in capsys.readouterr().err
    sets.begin("run-2", full=False, database_now=command.utc_now())
    with pytest.raises(InputError, match="nothing to export"):
        tdev("2", "--to", str(tmp_path), "--unproven")


def test_a_damaged_set_leaves_no_file(sets, tdev, tmp_path):
    complete_set(sets, "run-1")  # its files hold what no back-up writes
    with pytest.raises(ProofFailedError):
        tdev("newest", "--to", str(tmp_path), "--unproven")
    set_id = odd(sets, {"a", "b"})
    globals_file = sets.get(set_id).manifest.globals
    sets.store.put(sets.bucket, sets.folder(set_id) + globals_file.key, b"x" * globals_file.size_bytes)
    with pytest.raises(ProofFailedError, match=globals_file.key):
        tdev("newest", "--to", str(tmp_path), "--unproven")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_take_it_is_said(sets, tdev, tmp_path, monkeypatch):
    odd(sets, {"a"})
    with pytest.raises(InputError, match="is no folder"):
        tdev("newest", "--to", str(tmp_path / "none"), "--unproven")
    with monkeypatch.context() as patch:
        patch.setattr(backup_export, "stored_dump_bytes", lambda _: 2**60)
        with pytest.raises(TransientError, match="MB free and the dumps alone have"):
            tdev("newest", "--to", str(tmp_path), "--unproven")
    with pytest.raises(InputError, match="cannot be written"):
        tdev("newest", "--to", "/proc", "--unproven")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_leaves_no_file(sets, tdev, tmp_path):
    odd(sets, {f"{number:04d}" for number in range(500)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # what a test can do without a file system of its own
    try:
        with pytest.raises(TransientError, match="no room left"):
            tdev("newest", "--to", str(tmp_path), "--unproven")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_the_other_end_is_said(sets):
    odd(sets, {"a"})
    found = sets.newest(command.State.COMPLETE)
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(TransientError, match="no room left"):
        backup_export.export(sets, found, None, io.StringIO(), to="-", unproven=True, pipe=full)


def test_one_that_appears_meanwhile_is_not_replaced(sets, tdev, tmp_path, monkeypatch):
    odd(sets, {"a"})
    real = backup_export.export_set

    def slowly(*given, **named):
        (tmp_path / NAME).write_bytes(b"theirs")
        return real(*given, **named)

    monkeypatch.setattr(backup_export, "export_set", slowly)
    with pytest.raises(InputError, match="exists already"):
        tdev("newest", "--to", str(tmp_path), "--unproven")
    assert (tmp_path / NAME).read_bytes() == b"theirs"
    assert [each.name for each in tmp_path.iterdir()] == [NAME]


def test_it_streams_to_standard_output(sets, connections, tmp_path):
    odd(sets, {"a"})
    shipped = (include_dir() / "tdev.toml").read_text(encoding="utf-8")
    ours = shipped.replace('name = "t-developer"', 'name = "app"', 1)
    ours = ours.replace('"t-developer-backups"', f'"{sets.bucket}"')
    (tmp_path / "tdev.toml").write_text(ours, encoding="utf-8")
    environment = {**connections, SETTINGS_VARIABLE: str(tmp_path / "tdev.toml"), "PATH": os.environ["PATH"]}
    code = "import sys; from tdev_operators.cli.main import main; sys.exit(main())"
    argv = [sys.executable, "-c", code, "backup", "export", "newest", "--unproven", "--to", "-"]
    done = subprocess.run(argv, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert "backup-20261125/manifest.json" in tar.getnames()
    line = '"$@" | true; echo "${PIPESTATUS[0]}"'
    broken = subprocess.run(
        ["bash", "-c", line, "-", *argv], env=environment, capture_output=True, text=True, check=False
    )
    assert broken.stdout.strip() == "4"
    assert "ended before the archive was whole" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_json_and_archive_do_not_share_standard_output(sets, tdev):
    with pytest.raises(InputError, match="cannot both go to standard output"):
        tdev("--to", "-", "--json")


def test_an_encrypted_set_needs_the_identity(sets, tdev, connections, source, database, tmp_path):
    identity = pyrage.x25519.Identity.generate()
    take(sets, source, database, Age([str(identity.to_public())]))
    with pytest.raises(SetupMissingError, match="tdev_age"):
        tdev("--to", str(tmp_path))
    key = json.dumps({"conn_type": "generic", "password": str(identity)})
    assert tdev("--to", str(tmp_path), environment={**connections, "AIRFLOW_CONN_TDEV_AGE": key})[0] == 0

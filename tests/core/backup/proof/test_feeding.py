"""FIFOs that are filled when somebody opens them, and files of a set that are checked while they stream."""

import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from tdev_operators.core.backup.cipher import Age
from tdev_operators.core.backup.proof.feeding import Feeder
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.errors import AccessDeniedError, ProofFailedError
from tests.core.backup.proof.sets import BUCKET, FOLDER, MemoryStore, sealed


def _broken() -> Iterator[bytes]:
    yield b"half"
    raise ProofFailedError("damaged")


def test_more_fifos_than_workers_are_filled_in_any_order(tmp_path: Path) -> None:
    bodies = {tmp_path / f"{number}.dat": os.urandom(200_000) for number in range(20)}
    with Feeder({path: lambda body=body: iter((body,)) for path, body in bodies.items()}, 2) as feeder:
        for path, body in reversed(bodies.items()):
            assert path.read_bytes() == body
    assert feeder.unread == []
    assert feeder.fed_bytes == 20 * 200_000
    assert feeder.error is None


def test_what_broke_in_the_middle_never_looks_whole(tmp_path: Path) -> None:
    with Feeder({tmp_path / "a.dat": _broken}, 1) as feeder:
        reader = subprocess.Popen(["cat", tmp_path / "a.dat"], stdout=subprocess.PIPE)
        assert feeder.failed.wait(10)
        time.sleep(0.3)
        assert reader.poll() is None  # no end was shown to it
        reader.kill()
        reader.communicate()
    assert isinstance(feeder.error, ProofFailedError)


def test_a_reader_that_leaves_early_and_one_that_never_comes_are_told(tmp_path: Path) -> None:
    endless = iter(lambda: bytes(100_000), b"")
    with Feeder({tmp_path / "left.dat": lambda: endless, tmp_path / "alone.dat": lambda: endless}, 2) as feeder:
        with (tmp_path / "left.dat").open("rb") as reader:
            assert reader.read(10) == bytes(10)
        deadline = time.monotonic() + 10
        while len(feeder.unread) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert feeder.unread == ["left.dat", "alone.dat"]
    assert feeder.error is None


def test_a_large_file_under_the_wrong_key_is_not_called_damaged() -> None:
    ours, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    cipher = Age([str(ours.to_public())])
    store = MemoryStore()
    file = store.put("database/x/1.dat.zst.age", sealed(os.urandom(1_000_000), cipher))
    with pytest.raises(AccessDeniedError, match="none of our age identities"):
        list(SetFiles(store, BUCKET, FOLDER, Age([], str(other))).plain(file))
    body = bytearray(store.objects[FOLDER + file.key])
    body[500_000] ^= 1
    store.objects[FOLDER + file.key] = bytes(body)
    with pytest.raises(ProofFailedError, match="SHA-256"):
        list(SetFiles(store, BUCKET, FOLDER, Age([], str(ours))).plain(file))


@pytest.mark.parametrize("name", ["../escaped.dat.zst", "a/b.dat.zst", ".hidden", "link"])
def test_a_tar_with_something_else_in_it_is_refused(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    store = MemoryStore()
    file = store.put("database/x/small-0.tar", buffer.getvalue())
    with pytest.raises(ProofFailedError, match="is no file of a dump"):
        SetFiles(store, BUCKET, FOLDER, Age()).extract(file, tmp_path)
    assert list(tmp_path.iterdir()) == []

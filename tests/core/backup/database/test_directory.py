"""A folder that grows while it is read, and what is found in it."""

import errno
import os
import subprocess
import sys
import tempfile
import threading
import time
from queue import Empty

import pytest

from tdev_operators.core.backup.database import directory
from tdev_operators.core.backup.database.directory import CancelledError, DumpDirectory, DumpFile, spool
from tdev_operators.core.errors import SetupMissingError, TransientError

MIB = 1024 * 1024


@pytest.fixture
def writer():
    """Start a process that does as it is told, line by line, in Python."""
    started = []

    def start():
        code = "import sys, os\nfor line in sys.stdin:\n    exec(line)\n    print('done', flush=True)"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)

        def tell(line):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"

        tell.pid = process.pid
        return tell

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _waiting(watched):
    found = []
    while True:
        try:
            found.append(watched.waiting.get_nowait())
        except Empty:
            return found


def test_a_file_is_finished_when_its_writer_closed_it(tmp_path, writer):
    watched, tell = DumpDirectory(tmp_path), writer()
    tell(f"f = open('{tmp_path}/7.dat', 'wb', buffering=0); f.write(b'x')")
    watched.scan(tell.pid)
    [file] = _waiting(watched)
    assert (file.name, file.finished) == ("7.dat", False)
    watched.scan(tell.pid)
    assert not file.finished
    tell("f.close()")
    watched.scan(tell.pid)
    assert file.finished
    assert _waiting(watched) == []
    assert watched.names == {"7.dat"}


def test_a_child_of_the_process_counts_as_its_writer(tmp_path):
    watched = DumpDirectory(tmp_path)
    command = f"exec 3> {tmp_path}/9.dat; echo x >&3; echo done; exec sleep 600 >/dev/null"
    parent = subprocess.Popen(["sh", "-c", f"sh -c '{command}' & wait"], stdout=subprocess.PIPE)
    try:
        assert parent.stdout.readline() == b"done\n"
        watched.scan(parent.pid)
        [file] = _waiting(watched)
        assert not file.finished
    finally:
        subprocess.run(["pkill", "-P", str(parent.pid)], check=True)
        parent.communicate()
    watched.scan(None)
    assert file.finished


def test_an_empty_file_is_finished_only_when_it_was_seen_twice(tmp_path, writer):
    watched, tell = DumpDirectory(tmp_path), writer()
    (tmp_path / "9.dat").touch()
    watched.scan(tell.pid)
    [file] = _waiting(watched)
    assert not file.finished
    watched.scan(tell.pid)
    assert file.finished


def test_finished_files_come_first_and_open_lists_of_large_objects_not_at_all(tmp_path, writer):
    watched, tell = DumpDirectory(tmp_path), writer()
    tell(f"a = open('{tmp_path}/1.dat', 'wb', buffering=0); a.write(b'x')")
    tell(f"b = open('{tmp_path}/blobs_5.toc', 'wb', buffering=0); b.write(b'x' * 9000)")
    for name in ("blob_1.dat", "2.dat", "toc.dat"):
        (tmp_path / name).write_bytes(b"x")
    watched.scan(tell.pid)
    found = _waiting(watched)
    assert {file.name for file in found[:2]} == {"blob_1.dat", "2.dat"}
    assert [file.name for file in found[2:]] == ["1.dat"]
    assert watched.backlog_bytes == 3 * 4096  # the open list could not be drained
    assert watched.peak_bytes >= 5 * 4096
    tell("b.close()")
    watched.scan(tell.pid)
    assert [file.name for file in _waiting(watched)] == ["blobs_5.toc"]
    assert (watched.large_objects, watched.names) == (1, {"1.dat", "2.dat", "blobs_5.toc"})


def test_a_file_that_was_read_is_removed_and_forgotten(tmp_path, writer):
    watched = DumpDirectory(tmp_path)
    (tmp_path / "1.dat").write_bytes(b"content")
    watched.scan(None)
    [file] = _waiting(watched)
    assert b"".join(file.chunks(threading.Event())) == b"content"
    assert file.done
    assert not file.path.exists()
    watched.scan(None)
    assert _waiting(watched) == []
    assert (watched.backlog_bytes, watched._files) == (0, {})


def test_a_growing_file_is_read_whole_and_takes_little_disk(tmp_path):
    file = DumpFile(tmp_path / "1.dat")
    total, largest = 40 * MIB, 0
    pattern = bytes(range(256)) * 4096
    with file.path.open("wb", buffering=0) as out:
        got = bytearray()
        chunks = file.chunks(threading.Event())
        for number in range(total // MIB):
            out.write(pattern[number:] + pattern[:number])
            got += next(chunks)
            largest = max(largest, file.path.stat().st_blocks * 512)
        assert file.path.stat().st_size == total
        out.write(b"the end")
    file.finished = True
    got += b"".join(chunks)
    assert bytes(got) == b"".join(pattern[n:] + pattern[:n] for n in range(total // MIB)) + b"the end"
    assert largest <= 2 * MIB


def test_what_was_written_between_the_scan_and_the_end_is_not_lost(tmp_path):
    file = DumpFile(tmp_path / "1.dat")
    file.path.write_bytes(b"x" * 100)
    chunks = file.chunks(threading.Event())
    with file.path.open("ab") as out:
        out.write(b"y" * 3 * MIB)
    file.finished = True
    first = next(chunks)
    assert not file.whole
    assert len(first) + sum(map(len, chunks)) == 100 + 3 * MIB
    assert file.whole


def test_a_trickle_is_handed_out_though_it_fills_no_chunk(tmp_path):
    file = DumpFile(tmp_path / "1.dat")
    file.path.write_bytes(b"few")
    started = time.monotonic()
    assert next(file.chunks(threading.Event())) == b"few"
    assert time.monotonic() - started < 10


def test_a_waiting_reader_ends_when_it_is_cancelled(tmp_path):
    file = DumpFile(tmp_path / "1.dat")
    file.path.touch()
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(CancelledError):
        next(file.chunks(cancelled))


def test_of_thousands_of_files_each_is_looked_at_once_a_scan(tmp_path, writer, monkeypatch):
    watched, tell = DumpDirectory(tmp_path), writer()
    for number in range(3000):
        (tmp_path / f"blob_{number}.dat").write_bytes(b"x")
    scanned, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scandir(path))
    watched.scan(tell.pid)
    assert sorted(scanned) == sorted([str(tmp_path), f"/proc/{tell.pid}/fd"])
    assert len(_waiting(watched)) == 3000
    assert watched.backlog_bytes == 3000 * 4096  # each takes a page


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.EOPNOTSUPP, SetupMissingError, "set TMPDIR to a folder on ext4, xfs, btrfs or tmpfs"),
        (errno.ENOSPC, TransientError, "is full"),
    ],
)
def test_a_file_system_without_holes_is_refused_at_once(number, error, words, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(directory, "_punch", refuse)
    with pytest.raises(error, match=words), spool():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_transient(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(TransientError, match="No folder can be made"), spool():
        pass


def test_the_spool_is_private(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with spool() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()

"""Getting a target onto this worker, as data: nothing of it is run, and nothing of it lands elsewhere."""

import hashlib
import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.commands import run
from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, InputError
from tdev_operators.core.security.scanning import TARGET, Target, complaint
from tdev_operators.core.security.settings import ScanTarget

_MB = 1_000_000
_GIT = "apt-get install git"
# Nobody is asked for a password, no program of the repository is run, and no odd transport is opened.
_GIT_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "https:ssh:file"}
_SHA = 40


def fetch(wanted: ScanTarget, root: Path, store: BackupStore, *, timeout_seconds: float, target_mb: int) -> Target:
    """Put a target below an empty folder and say which revision it is.

    Raises:
        InputError: it is not there, or larger than `target_mb`. GarbledAnswerError: it is no archive.
        CommandFailedError, TransientError: it could not be fetched.
    """
    folder = root / TARGET
    folder.mkdir()
    if wanted.reference:
        return Target(wanted.name, wanted.kind, root, reference=wanted.reference)
    if wanted.git:
        return Target(wanted.name, wanted.kind, root, _checked_out(wanted, folder, timeout_seconds))
    bucket, _, key = wanted.archive.removeprefix("s3://").partition("/")
    digest = hashlib.sha256()
    body = _bounded(store.read(bucket, key), digest, wanted, target_mb)
    if wanted.kind == "image":
        with (folder / "image.tar").open("wb") as file:
            for chunk in body:
                file.write(chunk)
    else:
        _unpack(body, folder, wanted, target_mb)
    return Target(wanted.name, wanted.kind, root, f"sha256:{digest.hexdigest()}")


def _checked_out(wanted: ScanTarget, folder: Path, timeout_seconds: float) -> str:
    """Check one revision out, without its history, and return its commit."""
    git = ("git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false")

    def do(*argv: str) -> str:
        output = run([*git, *argv], timeout_seconds=timeout_seconds, env=_GIT_ENVIRONMENT, install_hint=_GIT)
        if output.exit_status:
            raise CommandFailedError(f"git {argv[0]} of {wanted.name} ended badly: {complaint(output)}")
        return output.stdout.strip()

    do("init", "--quiet")
    do("fetch", "--quiet", "--depth", "1", "--no-tags", wanted.git, wanted.ref)
    do("checkout", "--quiet", "--detach", "FETCH_HEAD")
    commit = do("rev-parse", "HEAD")
    if len(commit) < _SHA:
        raise GarbledAnswerError(f"git does not say which commit of {wanted.name} it has checked out.")
    shutil.rmtree(folder / ".git")
    return commit


def _bounded(chunks: Iterator[bytes], digest: "hashlib._Hash", wanted: ScanTarget, target_mb: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > target_mb * _MB:
            raise InputError(f"{wanted.name} has more than security.target_mb ({target_mb} MB); raise that.")
        digest.update(chunk)
        yield chunk


def _unpack(body: Iterator[bytes], folder: Path, wanted: ScanTarget, target_mb: int) -> None:
    """Unpack plain files and folders; what points out of the folder is refused, links and devices are not made."""
    size = 0
    stream = _Stream(body)
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for member in tar:
                size += member.size
                if size > target_mb * _MB:
                    raise InputError(f"{wanted.name} unpacks to more than security.target_mb ({target_mb} MB).")
                if member.isfile() or member.isdir():
                    tar.extract(member, folder, filter="data")
        stream.drain()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise GarbledAnswerError(
            f"The archive of {wanted.name} cannot be unpacked ({type(error).__name__}); see what stands there."
        ) from None


class _Stream(io.RawIOBase):
    """Chunks as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, wanted = [], size if size >= 0 else 2**62
        while wanted:
            self._rest = self._rest or next(self._chunks, b"")
            if not self._rest:
                break
            parts.append(self._rest[:wanted])
            wanted -= len(parts[-1])
            self._rest = self._rest[len(parts[-1]) :]
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end: the digest is one of all of it."""
        for _ in self._chunks:
            pass

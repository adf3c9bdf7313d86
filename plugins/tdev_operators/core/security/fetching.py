"""Getting a target onto this worker, as data: nothing of it is run, and nothing of it lands elsewhere.

What could not be fetched with it (a submodule, a link that points out) is named, so that no scan of it is whole.
"""

import contextlib
import gzip
import hashlib
import lzma
import os
import re
import shutil
import signal
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.commands import run
from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, InputError
from tdev_operators.core.ports import StreamingHost
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.security.scanning import TARGET, Target, complaint
from tdev_operators.core.security.settings import ScanTarget, place_of

_MB, _MIB = 1_000_000, 1024 * 1024
_GIT = "apt-get install git util-linux"
_FILE_TOO_LARGE = re.compile(r"File too large|signal 25")  # SIGXFSZ
# Nobody is asked for a password, no program of the repository is run, and no odd transport is opened.
_GIT_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "https:ssh:file"}
_SHA = 40
_LINK, _SUBMODULE = "120000", "160000"
_LARGE_FILE = b"version https://git-lfs.github.com/spec/"
_BLOCK = 512
_NOTHING = bytes(_BLOCK)
_DEEPEST, _MOST_MEMBERS, _LONGEST_HEADER = 64, 100_000, _MIB
_HEADERS = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK})
_FILES = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_LINKS = frozenset({tarfile.LNKTYPE, tarfile.SYMTYPE})
_OTHERS = _LINKS | {tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where targets come from, beside git: the object store, and folders of hosts."""

    store: BackupStore
    hosts: Mapping[str, StreamingHost] = field(default_factory=dict)


def fetch(wanted: ScanTarget, root: Path, sources: Sources, *, timeout_seconds: float, target_mb: int) -> Target:
    """Put a target below an empty folder and say which revision it is.

    Raises:
        InputError: it is not there, larger than `target_mb`, or has no file.
        GarbledAnswerError: it is no whole archive.
        CommandFailedError, TransientError: it could not be fetched.
    """
    folder = root / TARGET
    folder.mkdir()
    if wanted.reference:
        return Target(wanted.name, wanted.kind, root, reference=wanted.reference)
    skipped: dict[str, str] = {}
    if wanted.git:
        revision = _checked_out(wanted, folder, timeout_seconds, target_mb, skipped)
    elif wanted.host:
        with _packed(wanted, sources, timeout_seconds) as chunks:
            revision = _archived(wanted, root, chunks, target_mb, skipped)
    else:
        bucket, key = place_of(wanted.archive)
        revision = _archived(wanted, root, sources.store.read(bucket, key), target_mb, skipped)
    if not any(path.is_file() for path in folder.rglob("*")):
        raise InputError(f"{wanted.name} has no file in it; see what stands there.")
    return Target(wanted.name, wanted.kind, root, revision, skipped=skipped)


def _checked_out(
    wanted: ScanTarget, folder: Path, timeout_seconds: float, target_mb: int, skipped: dict[str, str]
) -> str:
    """Check one revision out, without its history, and return its commit."""
    git = ("git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false")

    # No file may become larger than the whole tree: a history of any size comes as one pack, and is cut off there.
    bounded = ("prlimit", f"--fsize={target_mb * _MB}")
    too_large = f"{wanted.name} has more than security.target_mb ({target_mb} MB); raise that."

    def do(*argv: str) -> str:
        output = run(
            [*bounded, *git, *argv],
            timeout_seconds=timeout_seconds,
            env=_GIT_ENVIRONMENT,
            install_hint=_GIT,
            output_limit_bytes=64 * _MIB,
        )
        if output.exit_status == -signal.SIGXFSZ or _FILE_TOO_LARGE.search(output.stderr):
            raise InputError(too_large)
        if output.exit_status:
            raise CommandFailedError(f"git {argv[0]} of {wanted.name} ended badly: {complaint(output)}")
        if output.truncated:
            raise InputError(f"{wanted.name} has more files than can be listed.")
        return output.stdout

    do("init", "--quiet")
    do("fetch", "--quiet", "--depth", "1", "--no-tags", wanted.git, wanted.ref)
    entries = [line.partition("\t") for line in do("ls-tree", "-r", "-l", "-z", "FETCH_HEAD").split("\0") if line]
    modes = {name: facts.split()[0] for facts, _, name in entries}
    size = sum(int(facts.split()[3]) for facts, _, _ in entries if facts.split()[3].isdigit())
    if size > target_mb * _MB:
        raise InputError(too_large)
    _refuse_deep(wanted, modes)
    do("checkout", "--quiet", "--detach", "FETCH_HEAD")
    commit = do("rev-parse", "HEAD").strip()
    if len(commit) < _SHA:
        raise GarbledAnswerError(f"git does not say which commit of {wanted.name} it has checked out.")
    shutil.rmtree(folder / ".git")
    _tidy(folder, modes, skipped)
    return commit


def _tidy(folder: Path, modes: Mapping[str, str], skipped: dict[str, str]) -> None:
    """Make links what they point to, and name what git has only a word of."""
    for name, mode in modes.items():
        path = folder / name
        if mode == _SUBMODULE:
            skipped[name] = "it is a submodule, which is not fetched"
        elif mode == _LINK:
            points_to = path.read_text(encoding="utf-8", errors="replace")
            path.unlink()
            _follow(folder, name, points_to, skipped)
        elif path.is_file() and path.stat().st_size < _BLOCK and path.read_bytes().startswith(_LARGE_FILE):
            skipped[name] = "it stands in Git LFS, which is not fetched"


def _packed(wanted: ScanTarget, sources: Sources, timeout_seconds: float) -> AbstractContextManager[Iterator[bytes]]:
    """Let a host pack its folder: the same files make the same archive, whenever they were written."""
    if wanted.host not in sources.hosts:
        raise InputError(f"There is no way to reach host {wanted.host}; check its entry in [[hosts]].")
    argv = ["tar", "-C", wanted.folder, "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    return sources.hosts[wanted.host].stream([*argv, "-cf", "-", "."], timeout_seconds=timeout_seconds)


def _archived(wanted: ScanTarget, root: Path, chunks: Iterable[bytes], target_mb: int, skipped: dict[str, str]) -> str:
    """Spool an archive, unpack it, and return its digest."""
    digest, spool = hashlib.sha256(), root / "archive"
    with spool.open("wb") as file:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > target_mb * _MB:
                raise InputError(f"{wanted.name} has more than security.target_mb ({target_mb} MB); raise that.")
            digest.update(chunk)
            file.write(chunk)
    if wanted.kind == "image":
        spool.rename(root / TARGET / "image.tar")
    else:
        _unpack(spool, root / TARGET, wanted, target_mb, skipped)
    return f"sha256:{digest.hexdigest()}"


def _unpack(spool: Path, folder: Path, wanted: ScanTarget, target_mb: int, skipped: dict[str, str]) -> None:
    """Unpack a whole archive; one that ends early, or is odd, is refused and not taken for a small tree."""
    plain = spool.with_suffix(".tar")
    broken = f"The archive of {wanted.name} cannot be unpacked"
    try:
        with _opened(spool) as packed, plain.open("wb") as file:
            size = 0
            while chunk := packed.read(_MIB):
                size += len(chunk)
                if size > target_mb * _MB:
                    raise InputError(f"{wanted.name} unpacks to more than security.target_mb ({target_mb} MB).")
                file.write(chunk)
        with plain.open("rb") as file:
            _refuse_broken(file)
        with tarfile.open(plain, mode="r:") as tar:
            _extract(tar, folder, wanted, skipped)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise GarbledAnswerError(f"{broken} ({type(error).__name__}); see what stands there.") from None
    finally:
        for path in (spool, plain):
            path.unlink(missing_ok=True)


def _opened(spool: Path) -> IO[bytes]:
    """Open an archive; gzip and xz themselves find out that their end is missing."""
    with spool.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(spool))
    return cast("IO[bytes]", lzma.open(spool)) if magic.startswith(b"\xfd7zXZ") else spool.open("rb")


def _refuse_broken(file: IO[bytes]) -> None:
    """Walk the headers to the two empty blocks at the end: Python's reader takes a cut archive for a short one.

    Raises:
        ValueError, tarfile.TarError: it is not whole, or not what a packer of trees writes.
    """
    offset = members = 0
    length = os.fstat(file.fileno()).st_size
    while True:
        file.seek(offset)
        header = file.read(_BLOCK)
        if header == _NOTHING:
            break
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if member.type not in _HEADERS | _FILES | _OTHERS or (
            member.type in _HEADERS and member.size > _LONGEST_HEADER
        ):
            raise ValueError("odd")
        members += 1
        data = member.size if member.type in _HEADERS | _FILES else 0
        offset += _BLOCK + -(-data // _BLOCK) * _BLOCK
        if members > _MOST_MEMBERS or offset > length or data < 0:
            raise ValueError("too many, or cut off")
    if length < offset + 2 * _BLOCK:
        raise ValueError("no end")
    file.seek(offset)
    while chunk := file.read(_MIB):
        if chunk.strip(b"\0"):
            raise ValueError("something behind the end")


def _extract(tar: tarfile.TarFile, folder: Path, wanted: ScanTarget, skipped: dict[str, str]) -> None:
    """Make files and folders; what points out of the folder is refused, links become what they point to."""
    links: dict[str, str] = {}
    for member in tar:
        _refuse_deep(wanted, [member.name])
        name = str(PurePosixPath(member.name))
        if ".git" in PurePosixPath(name).parts:  # history, which is not shipped, and where no scanner looks
            continue
        if member.isfile() or member.isdir():
            tar.extract(member, folder, filter="data")
        elif member.islnk():
            links[name] = f"/{PurePosixPath(member.linkname)}"
        elif member.issym():
            links[name] = member.linkname
        else:
            skipped[one_line(name)] = "it is no file"
    for name, points_to in links.items():
        _follow(folder, name, points_to, skipped)


def _follow(folder: Path, name: str, points_to: str, skipped: dict[str, str]) -> None:
    """Put what a link points to in its place, when that is a file of the tree. A path from / begins at its root."""
    base = folder if points_to.startswith("/") else (folder / name).parent
    there = Path(os.path.normpath(base / points_to.lstrip("/")))
    with contextlib.suppress(OSError, ValueError):
        if there.is_relative_to(folder) and not there.is_symlink():
            if there.is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(there, folder / name)
                return
            if there.is_dir():  # it is scanned where it stands
                return
    skipped[one_line(name)] = "it is a link to what is not in the tree"


def _refuse_deep(wanted: ScanTarget, names: Iterable[str]) -> None:
    deepest = next((name for name in names if name.count("/") > _DEEPEST), None)
    if deepest is not None:
        raise InputError(f"{wanted.name} has folders more than {_DEEPEST} deep; leave them out.")

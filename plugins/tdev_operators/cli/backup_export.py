"""`tdev backup export`: one set as the single file `backup-YYYYMMDD.tar.gz`."""

import contextlib
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, TextIO

from tdev_operators.core.backup.cipher import Age, Cipher, Plain
from tdev_operators.core.backup.export import archive_name, export_set, stored_dump_bytes
from tdev_operators.core.backup.manifest import Manifest, State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.errors import InputError, TransientError
from tdev_operators.hooks.connections import ConnectionSource

STANDARD_OUTPUT = "-"

_AGE = "tdev_age"  # its password is the text of an age identity file
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MB = 1_000_000


def export(
    repository: Repository,
    found: SetOnDisk,
    connections: ConnectionSource,
    out: TextIO,
    *,
    to: str,
    unproven: bool = False,
    as_json: bool = False,
    pipe: BinaryIO | None = None,
) -> int:
    """Write a set into the folder `to`, or to standard output (`pipe`) when that is `-`; returns 0.

    The file appears under its name when it is whole, and never replaces another one. Progress goes to standard error.

    Raises:
        InputError: the set is not PROVEN and `unproven` was not said; the folder or the file is not as it must be.
        SetupMissingError: the set is encrypted and there is no connection tdev_age.
        ProofFailedError: the set is damaged; no file is left.
        TransientError: the disk is full, or nobody reads the pipe any more.
    """
    manifest = _manifest(found, unproven=unproven)
    cipher = _cipher(manifest, connections)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if found.state is not State.PROVEN:
        tell(f"Note: {found.set_id} is {found.state}, not PROVEN: nobody has restored it yet.")
    if to == STANDARD_OUTPUT:
        with _standard_output(pipe) as write:
            export_set(repository, found, cipher, write, progress=tell)
        return 0
    path = Path(to) / f"{archive_name(manifest)}.tar.gz"
    with _new_file(path, stored_dump_bytes(manifest)) as write:
        exported = export_set(repository, found, cipher, write, progress=tell)
    if as_json:
        told = {"set_id": found.set_id, "state": found.state.value, "path": str(path), **asdict(exported)}
        print(json.dumps(told), file=out)
    else:
        print(f"{path} holds {found.set_id}; README.txt in it tells how to restore.", file=out)
    return 0


def _manifest(found: SetOnDisk, *, unproven: bool) -> Manifest:
    if found.manifest is None:
        raise InputError(f"The set {found.set_id} is {found.state}: without a manifest there is nothing to export.")
    if found.state is not State.PROVEN and not unproven:
        raise InputError(
            f"The set {found.set_id} is {found.state}: nobody has restored it yet; export it all the same with "
            "--unproven, or take the newest PROVEN one, which is `latest`."
        )
    return found.manifest


def _cipher(manifest: Manifest, connections: ConnectionSource) -> Cipher:
    return Plain() if manifest.encryption == "none" else Age(identities=connections.get(_AGE).password)


@contextmanager
def _standard_output(pipe: BinaryIO | None) -> Iterator[Callable[[bytes], None]]:
    if pipe is None and sys.stdout.isatty():
        raise InputError("Standard output is a terminal; send it to a file or a pipe, or give --to a folder.")
    # Of its own and unbuffered: Python would try again at its exit what a broken pipe has refused.
    with pipe or open(os.dup(sys.stdout.fileno()), "wb", buffering=0) as target:  # noqa: PTH123 - a descriptor
        try:
            yield _all_into(target)
        except BrokenPipeError:
            raise TransientError("Whoever read standard output ended before the archive was whole.") from None
        except OSError as error:
            raise _refused("standard output", error) from None


@contextmanager
def _new_file(path: Path, least_bytes: int) -> Iterator[Callable[[bytes], None]]:
    """Yield what writes to a temporary file beside `path`, which takes that name when the block ends well."""
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; make it, or give --to another one.")
    if os.path.lexists(path):
        raise _exists(path)
    temporary = ""
    try:
        usage = shutil.disk_usage(folder)
        free = usage.free
        if usage.total and free < least_bytes:  # some file systems do not know, and say 0 of 0
            raise TransientError(
                f"{folder} has {free / _MB:,.0f} MB free and the dumps alone have {least_bytes / _MB:,.0f} MB; make "
                "room, or give --to another folder."
            )
        # Readable by us alone: it may hold password hashes.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=folder)
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            yield _all_into(file)
            os.fsync(file.fileno())
        _name(Path(temporary), path)
    except OSError as error:
        raise _refused(str(folder), error) from None
    finally:
        with contextlib.suppress(OSError):
            if temporary:
                Path(temporary).unlink()


def _name(temporary: Path, path: Path) -> None:
    """Give a whole file its name; one that appeared meanwhile stays."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise _exists(path) from None
        temporary.rename(path)


def _all_into(file: BinaryIO) -> Callable[[bytes], None]:
    def write(chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) or 0 :]

    return write


def _exists(path: Path) -> InputError:
    return InputError(f"{path} exists already and is not replaced; move it away, or give --to another folder.")


def _refused(where: str, error: OSError) -> InputError | TransientError:
    if error.errno in _NO_ROOM:
        return TransientError(f"There is no room left at {where}; make some, or give --to another folder.")
    return InputError(f"{where} cannot be written ({error.strerror}); give --to another folder.")

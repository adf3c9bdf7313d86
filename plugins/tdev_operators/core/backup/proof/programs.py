"""PostgreSQL's server programs where a user without rights may run them: it refuses to run as root."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from tdev_operators.core.commands import running
from tdev_operators.core.errors import InputError
from tdev_operators.core.private_folders import private_folder

UNPRIVILEGED_USER = "nobody"  # exists everywhere, so that nothing has to be created and removed again

_VERSION_SECONDS = 60.0


def reachable(binaries: Path, stack: ExitStack) -> Path:
    """Return a folder whose programs the unprivileged user may run: this one, or a copy of its tree while `stack` is.

    Raises:
        InputError: the user may not run the copy either; names what to change.
    """
    if _may_run(binaries):
        return binaries
    tree, package = binaries.parent, binaries.parent.parent
    home = stack.enter_context(private_folder())
    home.chmod(0o755)
    copy = home / package.name / tree.name
    shutil.copytree(tree, copy, symlinks=True, copy_function=_linked)
    libraries = package.parent / f"{package.name}.libs"  # a wheel's shared libraries, found by relative path
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name, symlinks=True, copy_function=_linked)
    for made in (home / package.name, copy):
        made.chmod(0o755)
    if not _may_run(copy / binaries.name):
        raise InputError(
            f"The user {UNPRIVILEGED_USER} may not run programs below {home}; "
            "set TMPDIR to a folder that every user may enter, on a disk mounted without noexec."
        )
    return copy / binaries.name


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


def _may_run(binaries: Path) -> bool:
    # Through `env`: setpriv itself keeps root's right to pass every folder until its own exec is done.
    argv = ["env", str(binaries / "postgres"), "--version"]
    with running(argv, env={}, user=UNPRIVILEGED_USER, cwd="/") as tried:
        return tried.wait(_VERSION_SECONDS) == 0

"""Programs that come from Debian and not from PyPI, and root's right to mount: tests that need one say so here."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

from sandbox.postgres import binaries_of_debian


def needs_debian(package: str, program: str) -> None:
    """Skip the test when the program is not installed; under CI=true fail, for there nothing may stay untested."""
    if not Path(program).exists():
        not_run(f"apt-get install {package}")


def postgres_of_debian() -> Path:
    """Return the programs' folder of Debian's newest PostgreSQL, which has ICU, libxml and contrib."""
    found = binaries_of_debian()
    if found is None:
        not_run("apt-get install postgresql postgresql-contrib")
    return found


def not_run(missing: str) -> NoReturn:
    """Skip the test and say what is missing; under CI=true fail."""
    reason = f"NOT RUN: {missing}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

"""Programs that come from Debian and not from PyPI, and root's right to mount: tests that need one say so here."""

import os
from pathlib import Path

import pytest


def needs_debian(package: str, program: str) -> None:
    """Skip the test when the program is not installed; under CI=true fail, for there nothing may stay untested."""
    if not Path(program).exists():
        not_run(f"apt-get install {package}")


def postgres_of_debian() -> Path:
    """Return the programs' folder of Debian's newest PostgreSQL, which has ICU, libxml and contrib."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    needs_debian("postgresql postgresql-contrib", str(found[-1] if found else "/usr/lib/postgresql/bin/postgres"))
    return found[-1].parent


def not_run(missing: str) -> None:
    """Skip the test and say what is missing; under CI=true fail."""
    reason = f"NOT RUN: {missing}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

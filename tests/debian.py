"""Programs that come from Debian and not from PyPI: tests that need one say so in one place."""

import os
from pathlib import Path

import pytest


def needs_debian(package: str, program: str) -> None:
    """Skip the test when the program is not installed; under CI=true fail, for there nothing may stay untested."""
    if Path(program).exists():
        return
    reason = f"NOT RUN: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

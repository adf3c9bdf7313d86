"""One scratch server for the tests of this folder, and a TMPDIR that no other test sweeps."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.backup.proof.scratch import ScratchServer, scratch_server
from tests.core.backup.proof.sets import connect


@pytest.fixture(scope="session")
def scratch(cluster: Cluster) -> Iterator[ScratchServer]:
    """Return a running scratch server of the cluster's major version."""
    with scratch_server(18, lambda name: cluster.binaries / name, connect) as server:
        yield server


@pytest.fixture
def own_tmpdir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set TMPDIR to a folder of the test's own: its path is short enough for a socket, and any user may enter it."""
    folder = Path(tempfile.mkdtemp(prefix="tdev-test-"))
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)

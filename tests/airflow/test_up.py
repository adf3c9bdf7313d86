"""`make up` as a stranger runs it: its table, its page, and nothing left after Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from sandbox.processes import REPOSITORY, answers_at


@pytest.fixture
def folder():
    """A folder for temporary files that PostgreSQL, as another user, may pass through (pytest's own is closed)."""
    with tempfile.TemporaryDirectory(prefix="tdev-up-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_up_shows_the_verdicts_keeps_the_ui_up_and_leaves_nothing(tmp_path, folder):
    environment = {**os.environ, "TDEV_SANDBOX_FILE": str(tmp_path / "sandbox.json"), "TMPDIR": str(folder)}
    with (tmp_path / "out").open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "sandbox.up"],
            cwd=REPOSITORY,
            env={name: value for name, value in environment.items() if not name.startswith("AIRFLOW")},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        printed = wait_for(tmp_path / "out", "Ctrl-C", up)
        assert "health_check: OK" in printed, [line for line in printed.splitlines() if "  OK  " not in line]
        assert re.search(r"OK +database\.reachable +t_developer answers", printed)
        (url,) = re.findall(r"Airflow +(http://127\.0\.0\.1:\d+)", printed)
        assert httpx.get(f"{url}/api/v2/monitor/health").json()["scheduler"]["status"] == "healthy"
        assert httpx.get(f"{url}/tdev/").status_code == 401, "the page asks who is there"
        asked = [sys.executable, "-m", "sandbox", "break", "stop_api"]
        subprocess.run(asked, cwd=REPOSITORY, env=environment, check=True)
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)
    assert not answers_at(int(url.rpartition(":")[2]))
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "sandbox.json").exists()
    assert children_with(str(folder)) == []


def wait_for(file: Path, text: str, process: subprocess.Popen, seconds: float = 600) -> str:
    deadline = time.monotonic() + seconds
    while text not in (printed := file.read_text(errors="replace")):
        assert process.poll() is None, printed
        assert time.monotonic() < deadline, printed
        time.sleep(0.5)
    return printed


def children_with(path: str) -> list[str]:
    """Processes whose environment names the folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if path in (folder / "environ").read_bytes().decode(errors="replace"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [command for command in found if "pytest" not in command]

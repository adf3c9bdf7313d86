"""Nothing outlives its parent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.processes import REPOSITORY, SandboxError, Supervisor, answers_at

PARENT = """
import json, sys
from sandbox.object_store import ObjectStore
from sandbox.postgres import Cluster
from sandbox.processes import Supervisor, end_on_signals
from sandbox.watchdog import processes_of

end_on_signals()
with Supervisor() as supervisor:
    extra = supervisor.home.with_name(supervisor.home.name + "-extra")
    extra.mkdir()
    supervisor.add_folder(extra)
    parts = [Cluster(supervisor, "cluster").start(), ObjectStore(supervisor).start()]
    session = parts[0].connect()
    escaped = supervisor.spawn("escape", ["setsid", "--fork", "sleep", "300"])
    escaped.process.wait()
    pids = processes_of([c.pid for c in supervisor.children.values()], supervisor._token)
    print(json.dumps({
        "pids": [supervisor.watchdog_pid, *pids],
        "ports": [part.port for part in parts],
        "folders": [str(supervisor.home), str(extra)],
    }), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent():
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _segments() -> int:
    return len(Path("/proc/sysvipc/shm").read_text().splitlines())


def _left(facts: dict) -> dict:
    return {
        "pids": [pid for pid in facts["pids"] if _alive(pid)],
        "ports": [port for port in facts["ports"] if answers_at(port)],
        "folders": [folder for folder in facts["folders"] if Path(folder).exists()],
    }


@pytest.mark.seeded
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_of_a_parent_that_ended_by(number: signal.Signals, parent):
    facts = json.loads(parent.stdout.readline())
    # PostgreSQL has sessions of its own, the escaped one is an orphan: more than the children themselves.
    assert len(facts["pids"]) > 8
    assert _left(facts) == facts
    parent.send_signal(number)
    assert parent.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
    until = time.monotonic() + 20
    while any(_left(facts).values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert _left(facts) == {"pids": [], "ports": [], "folders": []}


def test_kill_of_the_parent_before_its_child_has_started_its_program():
    """The child registers itself before it becomes its program, so no moment is left in between."""
    script = (
        "import os, signal, subprocess\n"
        "from sandbox.processes import Supervisor\n"
        "supervisor = Supervisor()\n"
        "print(supervisor.home, supervisor._token, flush=True)\n"
        "real = subprocess.Popen\n"
        "def killed(*a, **k):\n"
        "    real(*a, **k)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "subprocess.Popen = killed\n"
        "supervisor.spawn('sleeper', ['sleep', '301'])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, check=False, timeout=30
    )
    home, token = ended.stdout.split()
    assert ended.returncode == -signal.SIGKILL
    until = time.monotonic() + 20
    while (Path(home).exists() or _with_marker(token)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(home).exists()
    assert _with_marker(token) == []


def _with_marker(token: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and token.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_close_leaves_nothing():
    with Supervisor() as supervisor:
        child = supervisor.spawn("sleeper", ["sleep", "302"])
        watchdog = supervisor.watchdog_pid
        assert child.running
    assert not supervisor.home.exists()
    assert not _alive(child.pid)
    assert not _alive(watchdog)
    with pytest.raises(SandboxError, match="closed"):
        supervisor.spawn("late", ["sleep", "303"])


def test_a_child_that_ignores_the_signal_is_killed_with_its_own_children():
    with Supervisor() as supervisor:
        script = "trap '' TERM; sleep 304 & echo $! > grandchild; touch ready; while true; do sleep 0.1; done"
        ready = supervisor.home / "ready"
        child = supervisor.spawn("stubborn", ["sh", "-c", script], ready=ready.exists)
        grandchild = int((supervisor.home / "grandchild").read_text())
        assert supervisor.stop("stubborn", grace_seconds=0.2) == -signal.SIGKILL
        assert not _alive(child.pid)
        assert not _alive(grandchild)
        assert supervisor.stop("stubborn") is None


def test_a_child_that_ends_early_says_why():
    with Supervisor() as supervisor:
        with pytest.raises(SandboxError, match=r"status 7 before it was ready:\nno such luck"):
            supervisor.spawn("unlucky", ["sh", "-c", "echo no such luck; exit 7"], ready=lambda: False)
        with pytest.raises(SandboxError, match="not ready after"):
            supervisor.spawn("slow", ["sleep", "305"], ready=lambda: False, ready_seconds=0.1)
        assert supervisor.children == {}


def test_a_child_inherits_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the developer")
    with Supervisor() as supervisor:
        child = supervisor.spawn("env", ["env"], env={"MINE": "1"})
        child.process.wait(10)
        printed = child.log.read_text()
    assert "MINE=1" in printed
    assert "of the developer" not in printed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_drops_its_privileges():
    with Supervisor() as supervisor:
        child = supervisor.spawn("id", ["id"], user="nobody")
        assert child.process.wait(10) == 0
        assert "root" not in child.log.read_text()

"""Who holds a host's memory, without anybody's arguments."""

import subprocess
import sys

import pytest

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.memory.consumers import Process, family_of, held_by, pid_of, processes_of
from tdev_operators.core.memory.meminfo import MemInfo
from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.hosts.local import LocalHost
from tests.hosts import Saying

HOST = LocalHost("here")
_BIG = """
import os, sys
held, child = bytearray(200 * 2**20), os.fork()
if child:
    print(child, flush=True)
sys.stdin.read()
"""


def test_a_process_and_what_it_started_are_found_with_what_they_hold_and_without_their_arguments():
    secret = "--password=hunter2"
    argv = [sys.executable, "-c", _BIG, secret]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as big:
        child = int(big.stdout.readline())
        found = processes_of(HOST)
        family = family_of(found, big.pid)
        big.stdin.close()
    assert {process.pid for process in family} == {big.pid, child}
    assert max(process.rss_kib for process in family) > 200 * 1024
    assert found == sorted(found, key=lambda process: -process.rss_kib)
    assert "hunter2" not in str(found)
    assert "MiB  pid" in family[0].line


class Said(LocalHost):
    """A host whose kernel says of each process and control group what it is told."""

    def __init__(self, pss=None, refused="", files=None):
        super().__init__("said")
        self.pss, self.refused, self.files = pss or {}, refused, files or {}

    def run(self, argv, *, stdin="", **options):
        if "xargs" in argv:
            lines = [f"/proc/{pid}/smaps_rollup:Pss:    {kib} kB\n" for pid, kib in self.pss.items()]
            return CommandOutput(123 if self.refused else 0, "".join(lines), self.refused)
        return CommandOutput(0, self.files.get(argv[1], ""), "")


FAMILY = [Process(pid, 1, 1000, "S", 1, "engine") for pid in (7, 8)]
UNIT = "0::/system.slice/engine.service"
STAT = {"/sys/fs/cgroup/system.slice/engine.service/memory.stat": "anon 2048000\nfile 9999999\nshmem 1024\n"}
REFUSED = "grep: /proc/8/smaps_rollup: Permission denied"


@pytest.mark.parametrize(
    ("host", "held"),
    [
        (Said({7: 600, 8: 500}), (1100, "PSS")),
        (Said({7: 600}, "grep: /proc/8/smaps_rollup: No such file or directory"), (600, "PSS")),  # it ended meanwhile
        (Said({7: 600}, REFUSED, {"/proc/7/cgroup": f"{UNIT}\n", **STAT}), (2001, "cgroup")),
        (Said({}, REFUSED, {"/proc/7/cgroup": f"{UNIT}/worker\n", **STAT}), (2001, "cgroup")),
        (Said({}, REFUSED, {"/proc/7/cgroup": "0::/user.slice\n", **STAT}), (2000, "RSS")),  # others are in it, too
        (Said({}, REFUSED, {"/proc/7/cgroup": f"{UNIT}\n"}), (2000, "RSS")),
        (Said({}, REFUSED), (2000, "RSS")),
    ],
)
def test_what_a_service_holds_is_taken_from_the_best_that_the_host_tells(host, held):
    assert held_by(host, FAMILY, "engine") == held


_PREFORKED = """
import os, sys
held, children = bytearray(os.urandom(1) * (100 * 2**20)), []
for _ in range(4):
    if not os.fork():
        sys.stdin.read()
        os._exit(0)
print("ready", flush=True)
sys.stdin.read()
"""


def test_pages_that_preforked_workers_share_count_once():
    argv = [sys.executable, "-c", _PREFORKED]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        parent.stdout.readline()
        family = family_of(processes_of(HOST), parent.pid)
        held, measure = held_by(HOST, family, "engine")
        parent.stdin.close()
    assert sum(process.rss_kib for process in family) > 300 * 1024, "the sum counts them once a process"
    assert (measure, 100 * 1024 < held < 200 * 1024) == ("PSS", True)


def test_a_family_hangs_together_and_is_nobody_elses():
    processes = [Process(pid, parent, 1, "S", 1, "x") for pid, parent in [(4, 3), (3, 2), (9, 1), (2, 1)]]
    assert [process.pid for process in family_of(processes, 2)] == [4, 3, 2]
    assert family_of(processes, 77) == []


@pytest.mark.parametrize(("said", "pid"), [("0\n", 0), ("", 0), ("123\n", 123)])
def test_the_process_of_a_service(said, pid):
    assert pid_of(Saying(said), ["show", "{service}"], "engine") == pid


@pytest.mark.parametrize("said", ["no such unit", "-1", "1 2"])
def test_what_is_no_process_id_is_refused(said):
    with pytest.raises(GarbledAnswerError, match=r"mend memory_relief\.service_pid"):
        pid_of(Saying(said), ["show", "{service}"], "engine")


def test_a_list_of_nothing_is_not_believed():
    with pytest.raises(GarbledAnswerError, match="listed no process"):
        processes_of(Saying("PID RSS\n"))


def test_this_machine_has_memory():
    found = MemInfo.of(HOST)
    assert 0 < found.used_percent < 100
    assert found.free <= found.total


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("MemTotal: 10 kB\n", "lacks MemTotal or MemAvailable"),
        ("MemTotal: 10 kB\nMemAvailable: 11 kB\n", "says 11 of 10 KiB available"),
        ("MemTotal: 0 kB\nMemAvailable: 0 kB\n", "says 0 of 0 KiB available"),
    ],
)
def test_figures_that_cannot_be_are_refused(said, why):
    with pytest.raises(GarbledAnswerError, match=why):
        MemInfo.of(Saying(said))

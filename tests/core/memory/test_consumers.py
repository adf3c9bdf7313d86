"""Who holds a host's memory, without anybody's arguments."""

import subprocess
import sys

import pytest

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.memory.consumers import Process, family_of, pid_of, processes_of
from tdev_operators.core.memory.meminfo import MemInfo
from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.hosts.local import LocalHost

HOST = LocalHost("here")
_BIG = """
import os, sys
held, child = bytearray(200 * 2**20), os.fork()
if child:
    print(child, flush=True)
sys.stdin.read()
"""


class Saying(LocalHost):
    """A host whose commands say one thing."""

    def __init__(self, stdout):
        super().__init__("saying")
        self.stdout = stdout

    def run(self, argv, **options):
        return CommandOutput(0, self.stdout, "")


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

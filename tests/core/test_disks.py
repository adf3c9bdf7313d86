"""`df` on this machine, seen by a user who may not see everything."""

import pytest

from tdev_operators.core.disks import disks_of
from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.hosts.local import LocalHost


def test_each_folder_has_its_disk():
    first, second = disks_of(LocalHost("here"), ["/", "/"])
    assert first == second
    assert first.point == "/"
    assert first.total >= first.used + first.free > 1024**2
    assert disks_of(LocalHost("here"), ["/"], of="inodes")[0].total >= 0


def test_a_folder_that_may_not_be_seen_is_not_passed_over(sealed):
    folder, host = sealed
    assert disks_of(host, [str(folder)])[0].free > 0, "the folder itself is seen, not what is in it"
    with pytest.raises(InputError, match=r"status 1\): .*/pg_wal: Permission denied"):
        disks_of(host, [str(folder), f"{folder}/pg_wal"])


def test_without_a_folder_it_is_asked_for_nothing():
    with pytest.raises(GarbledAnswerError, match="for 0 disks"):
        disks_of(LocalHost("here"), ())


@pytest.mark.parametrize("lines", ["", "garbage\n", "/dev/a a b c d /\n", "/dev/a 1 1 1 1% /\n/dev/b 1 1 1 1% /b\n"])
def test_what_is_no_answer_is_not_believed(lines):
    class Host:
        name = "db"

        def run(self, *_, **__):
            return CommandOutput(0, f"Filesystem 1024-blocks Used Available Capacity Mounted on\n{lines}", "")

    with pytest.raises(GarbledAnswerError, match="`df` on db printed"):
        disks_of(Host(), ["/"])

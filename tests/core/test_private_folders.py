"""A private folder is its process's from its first moment to its last."""

import fcntl

from tdev_operators.core import private_folders
from tdev_operators.core.private_folders import private_folder, sweep


def test_somebody_who_sweeps_while_it_is_being_made_leaves_it(tmp_path, monkeypatch):
    monkeypatch.setattr(private_folders.tempfile, "tempdir", str(tmp_path))
    real, swept = fcntl.flock, []

    def flock(descriptor, operation):
        if operation == fcntl.LOCK_EX:  # its owner is about to lock it: another process looks just before
            swept.extend(sweep())
        return real(descriptor, operation)

    monkeypatch.setattr(private_folders.fcntl, "flock", flock)
    with private_folder() as folder:
        (folder / "file").write_text("mine")
        assert sweep() == []
    assert swept == []
    assert not folder.exists()


def test_one_whose_owner_is_gone_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(private_folders.tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / f"{private_folders.PREFIX}dead"
    dead.mkdir()
    (dead / "owner.lock").touch()
    assert sweep() == [dead]
    assert not dead.exists()

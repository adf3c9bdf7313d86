"""The rotation of logs put in place from a real Airflow: dry first, then proven."""

import os

import pytest

from sandbox.settings_file import change_settings
from tdev_operators.core.settings import load_settings
from tests.debian import needs_debian, not_run
from tests.served_logs import lines_written_to


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_dry_run_says_what_would_be_and_a_run_proves_it(house, tmp_path):
    needs_debian("logrotate", "/usr/sbin/logrotate")
    if os.geteuid() != 0:
        not_run("only root may install what logrotate reads")
    tmp_path.chmod(0o755)
    etc = tmp_path / "logrotate.d"
    etc.mkdir(mode=0o755)
    (tmp_path / "main.conf").write_text(f"include {etc}\n")
    (tmp_path / "main.conf").chmod(0o644)
    logs = tmp_path / "logs"  # the sandbox's own are read by others
    logs.mkdir(mode=0o755)
    (logs / "api.log").write_text("2026-11-23T09:00:00Z INFO api a line\n")
    rotation = {
        "file": str(etc / "t-developer"),
        "main": str(tmp_path / "main.conf"),
        "state": str(tmp_path / "state"),
        "create_user": "root",
        "create_group": "root",
        "reload": ["true"],
    }
    former = {"logs": load_settings(house.system.settings_file).logs.model_dump(include={"directory", "rotation"})}
    former["logs"]["rotation"].pop("copytruncate")
    change_settings(house.system.settings_file, {"logs": {"directory": str(logs), "rotation": rotation}})
    try:
        with lines_written_to(logs / "api.log"):
            _dry_then_proven(house, etc, logs)
    finally:
        change_settings(house.system.settings_file, former)


def _dry_then_proven(house, etc, logs):

    def installed(**asked):
        run_id = house.airflow.trigger("tdev_install_log_rotation", asked)
        state = house.airflow.wait_for_run("tdev_install_log_rotation", run_id)
        return state, house.airflow.xcom("tdev_install_log_rotation", run_id, "install_log_rotation.install")

    state, told = installed()
    assert state == "success"
    assert "Nothing was changed" in told["summary"]
    assert list(etc.iterdir()) == []
    state, told = installed(dry_run=False, prove=True)
    assert state == "success", told
    assert (etc / "t-developer").exists()
    assert (logs / "api.log.1").stat().st_size
    (etc / "t-developer").chmod(0o666)
    state, told = installed(dry_run=False)
    assert state == "failed"
    assert "it is 666 root root" in told["summary"]

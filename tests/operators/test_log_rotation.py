"""Logs as tasks and the command line look at them, on a small T-Developer with its ledger; rotation put in place."""

import argparse
import io
import os
from types import SimpleNamespace

import pytest

from sandbox.settings_file import change_settings
from tdev_operators.core.items import ItemRef
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import EnvironmentConnections
from tests.debian import needs_debian, not_run
from tests.operators.test_metric_cleanup import system, tasks  # noqa: F401  fixtures
from tests.served_logs import lines_written_to


def installed(**asked):
    from tdev_operators.operators.log_rotation import LogRotationInstallOperator

    run = SimpleNamespace(dag_id="tdev_install_log_rotation", run_id=f"run-{sorted(asked.items())}")
    params = {"host": "", "prove": False, "dry_run": True, **asked}
    return LogRotationInstallOperator(task_id="install").execute(
        {"dag_run": run, "params": params, "ti": SimpleNamespace(try_number=1)}
    )


@pytest.fixture
def etc(tasks, tmp_path):  # noqa: F811  the fixture
    needs_debian("logrotate", "/usr/sbin/logrotate")
    if os.geteuid() != 0:
        not_run("only root may install what logrotate reads")
    tmp_path.chmod(0o755)
    folder = tmp_path / "logrotate.d"
    folder.mkdir(mode=0o755)
    (tmp_path / "main.conf").write_text(f"include {folder}\n")
    (tmp_path / "main.conf").chmod(0o644)
    tasks.logs.chmod(0o755)
    rotation = {
        "file": str(folder / "t-developer"),
        "main": str(tmp_path / "main.conf"),
        "state": str(tmp_path / "state"),
        "create_user": "root",
        "create_group": "root",
        "reload": ["true"],
    }
    change_settings(tasks.settings_file, {"logs": {"rotation": rotation}})
    return folder


def test_a_dry_run_then_the_installation_with_its_proof(tasks, etc):  # noqa: F811
    from tdev_operators.operators.base import task_ports

    told = installed()
    assert told["verdict"] == "OK", told
    assert "Nothing was changed" in told["summary"]
    assert list(etc.iterdir()) == []
    with lines_written_to(*tasks.logs.glob("*.log")):
        told = installed(dry_run=False, prove=True)
    assert told["verdict"] == "OK", told
    assert [file.name for file in etc.iterdir()] == ["t-developer"]
    assert (tasks.logs / "api.log.1").stat().st_size
    ref = ItemRef(
        "install_log_rotation",
        "tdev_install_log_rotation",
        "run-[('dry_run', False), ('prove', True)]",
        "install_log_rotation",
    )
    item = task_ports().ledger.item(ref)
    assert item is not None
    assert item.verdict is Verdict.OK
    assert item.results[0].check == "logs.installed"


def test_the_command_line_tells_the_day_and_the_next_look_goes_on(tasks, capsys):  # noqa: F811
    from tdev_operators.cli.logs import logs
    from tdev_operators.core.settings import load_settings

    asked = argparse.Namespace(details=True, json=False)
    first, second = io.StringIO(), io.StringIO()
    settings = load_settings(tasks.settings_file)
    environment = {**os.environ, **tasks.environment}
    logs(asked, environment=environment, settings=settings, out=first)
    text = first.getvalue()
    assert "logs.reading" in text
    assert "logs.errors" in text
    assert "INFO: " in text
    logs(asked, environment=environment, settings=settings, out=second)
    assert "0 MB new" in second.getvalue()


def test_the_daily_analysis_is_called_as_its_docs_say(tasks):  # noqa: F811
    from tdev_operators.core.logs.check_names import wanted_of
    from tdev_operators.core.logs.run import analyse_logs
    from tdev_operators.hooks.logs_assembly import log_ports
    from tdev_operators.operators.base import task_ports

    ports = task_ports()
    wanted, off = wanted_of(ports.settings)
    assert [one.check for one in off] == ["logs.rotation"]
    found = analyse_logs(
        log_ports(ports.settings, EnvironmentConnections(tasks.environment)),
        ports.settings,
        ports.ledger,
        wanted=wanted,
    )
    by_name = {result.check: result for result in found}
    assert set(by_name) == wanted
    assert by_name["logs.reading"].verdict is Verdict.OK, by_name["logs.reading"]
    assert by_name["logs.errors"].verdict in (Verdict.OK, Verdict.WARNING)
    assert by_name["logs.security_events"].measurements[0].value > 0

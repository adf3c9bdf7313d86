"""What is kept as evidence of a host: nobody's arguments."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from tdev_operators.core.evolution.recovery import diagnosis
from tdev_operators.core.evolution.recovery.diagnosis import without_arguments
from tdev_operators.core.evolution.recovery.evidence_lines import evidence_lines
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.hooks.hosts.local import LocalHost

SHIPPED = load_settings(include_dir() / "tdev.toml")
STATUS = """\
* t-developer-evolution.service - The evolution
     Loaded: loaded (/etc/systemd/system/t-developer-evolution.service; enabled)
     Active: activating (auto-restart) (Result: exit-code) since Mon 2026-11-30 05:00:00 UTC; 1s ago
    Process: 4242 ExecStart=/usr/bin/engine --api-key hunter2 (code=exited, status=1/FAILURE)
   Main PID: 4242 (engine)
      Tasks: 3 (limit: 4000)
     CGroup: /system.slice/t-developer-evolution.service
             |-4242 /usr/bin/engine --api-key hunter2
             `-4243 engine: worker hunter2

Nov 30 05:00:00 host engine[4242]: started with hunter2
"""


def test_the_status_of_a_service_is_told_without_command_lines():
    told = without_arguments(STATUS.splitlines())
    assert "hunter2" not in "\n".join(told)
    assert [line.split()[0] for line in told] == ["*", "Loaded:", "Active:", "Main", "Tasks:"]
    shown = ["ActiveState=active", "SubState=running", "Result=success", "ExecMainStatus=0"]
    assert without_arguments([*shown, "ExecStart={ path=/usr/bin/engine ; argv[]=engine --api-key hunter2 }"]) == shown


def test_a_host_whose_status_prints_the_process_tree_gives_no_argument_to_the_evidence():
    rules = SHIPPED.evolution.recovery

    class Systemd(LocalHost):
        def run(self, argv, **options):
            if argv == [word.replace("{service}", rules.service) for word in rules.service_status]:
                return CommandOutput(3, STATUS, "")
            return CommandOutput(0, "0", "") if argv[0] == "systemctl" else super().run(argv, **options)

    found = diagnosis._host(Systemd("here"), SimpleNamespace(services=(rules.service,)), SHIPPED)
    assert found["status"][2].strip().startswith("Active: activating")
    assert "hunter2" not in str(found)


def test_the_settings_as_they_are_delivered_ask_for_no_command_line():
    command = SHIPPED.evolution.recovery.service_status
    assert command[:2] == ("systemctl", "show")
    assert "ExecStart" not in " ".join(command)


NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def written(folder, *seconds_ago):
    """Write a log of errors, so many seconds before NOW, and return the settings that look there."""
    moments = [(ago, NOW - timedelta(seconds=ago)) for ago in seconds_ago]
    lines = [f"{at:%Y-%m-%dT%H:%M:%S}.000Z ERROR evolution {ago} {'x' * 250}" for ago, at in moments]
    (folder / "evolution.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.utime(folder / "evolution.log", (NOW.timestamp(), NOW.timestamp()))
    return SHIPPED.model_copy(update={"logs": SHIPPED.logs.model_copy(update={"directory": str(folder)})})


def numbers(found):
    return [int(line.split()[3]) for line in found["newest"]]


def test_the_newest_errors_are_the_newest_though_a_host_prints_no_more_than_a_mebibyte(tmp_path):
    ago = sorted([second for second in range(1700) for _ in range(3)], reverse=True)
    found = diagnosis._errors(LocalHost("here"), written(tmp_path, *ago), NOW)
    assert (found["more"], found["newest_known"]) == (True, True)
    assert numbers(found) == sorted([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6], reverse=True)


def test_newest_errors_of_a_while_ago_are_found_as_well(tmp_path):
    ago = sorted([second for second in range(300, 1700) for _ in range(3)], reverse=True)
    found = diagnosis._errors(LocalHost("here"), written(tmp_path, *ago), NOW)
    assert (found["newest_known"], numbers(found)[-1]) == (True, 300)


def test_where_the_newest_cannot_be_told_the_evidence_says_so(tmp_path):
    found = diagnosis._errors(LocalHost("here"), written(tmp_path, *([10] * 5000)), NOW)
    assert (found["more"], found["newest_known"]) == (True, False)
    seen = diagnosis.Diagnosis(NOW.isoformat(), {"errors here": found}, {})
    assert "in the logs of here; newer ones than these may be there" in next(iter(evidence_lines(seen)))


def test_few_errors_are_asked_for_once(tmp_path):
    found = diagnosis._errors(LocalHost("here"), written(tmp_path, 1000, 5), NOW)
    assert (found["lines"], found["more"], found["newest_known"], numbers(found)) == (2, False, True, [1000, 5])

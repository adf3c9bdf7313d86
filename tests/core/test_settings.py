import os
from pathlib import Path

import pytest

from tdev_operators.core.errors import SettingsError
from tdev_operators.core.settings import load_settings, settings_path
from tdev_operators.core.sql import include_dir

SHIPPED = (include_dir() / "tdev.toml").read_text(encoding="utf-8")


def complaint(tmp_path: Path, old: str, new: str) -> str:
    """What the settings say when this part of the shipped file is changed so."""
    assert old in SHIPPED
    file = tmp_path / "tdev.toml"
    file.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_settings(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


def test_the_shipped_file_is_whole_and_frozen():
    settings = load_settings(include_dir() / "tdev.toml")
    assert settings.buckets.backups == "t-developer-backups"
    assert settings.retention.metrics_days == 30
    with pytest.raises(Exception, match="frozen"):
        settings.retention.metrics_days = 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "metrics_days = 30",
            "metric_days = 30",
            "retention.metric_days: this key is unknown; did you mean metrics_days?",
            id="misspelt key",
        ),
        pytest.param(
            "\nmetrics_days = 30",
            "\nmetrics_hours = 720",
            "retention.metrics_hours: this key is unknown; did you mean metrics_days?",
            id="wrong unit in the key",
        ),
        pytest.param(
            "\nmetrics_days = 30",
            '\nmetrics_days = "30d"',
            "retention.metrics_days: '30d' is not a plain number; write the figure alone in days",
            id="unit in the value",
        ),
        pytest.param(
            "\nmetrics_days = 30",
            "\nmetrics_days = -30",
            "retention.metrics_days: -30 is too small; give a figure at least 1 in days.",
            id="negative retention",
        ),
        pytest.param(
            'backups = "t-developer-backups"',
            'backups = "t-developer-agents"',
            "buckets: backups and agents name the same bucket 't-developer-agents'; give the back-ups a bucket of",
            id="source is target",
        ),
        pytest.param(
            'agents = "t-developer-agents"\n',
            "",
            "buckets.agents: this key is missing; add it",
            id="missing key",
        ),
        pytest.param(
            'agents = "t-developer-agents"',
            'agents = "T-Developer Agents"',
            "buckets.agents: 'T-Developer Agents' is not a bucket name; use 3 to 63 lower-case letters",
            id="no bucket name",
        ),
        pytest.param(
            'reach = "ssh"',
            'reach = "telnet"',
            "hosts[1].reach: 'telnet' is not one of the choices; write one of 'local', 'ssh' or 'ssm'.",
            id="unknown choice",
        ),
        pytest.param(
            'connection = "tdev_host_1"',
            "#",
            'hosts[1]: reach = "ssh" needs connection = "<the Airflow connection with host, user and key>".',
            id="half a host",
        ),
        pytest.param(
            'weekday = "sunday"',
            'weekday = "sunday',
            "this is not valid TOML: ",
            id="broken TOML",
        ),
        pytest.param(
            "end = 06:00:00",
            "end = 01:00:00",
            "system.maintenance_window: start must be before end, both on the same day; write 02:00:00 and 06:00:00.",
            id="window that ends before it starts",
        ),
        pytest.param(
            "near_limit_kb = 6.0",
            "near_limit_kb = 7.0",
            "agents: near_limit_kb must not be above max_size_kb; lower it.",
            id="limits out of order",
        ),
        pytest.param(
            'channels = ["mail"]',
            'channels = ["mail", "slak"]',
            "alerts.channels[2]: 'slak' is not one of the choices; write one of 'mail', 'slack' or 'sns'.",
            id="unknown channel",
        ),
    ],
)
def test_each_mistake_gets_one_sentence_with_file_key_and_remedy(tmp_path, old, new, expected):
    message = complaint(tmp_path, old, new)
    assert expected in message
    assert "\n" not in message


def test_two_mistakes_get_two_sentences(tmp_path):
    message = complaint(tmp_path, "\nmetrics_days = 30\nimportant", "\nmetrics_days = 0\nunimportant")
    assert "retention.metrics_days: 0 is too small" in message
    assert "did you mean important_metrics_days?" in message


def test_a_missing_file_is_named_with_the_variable(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere.toml: there is no such file; set TDEV_SETTINGS"):
        load_settings(tmp_path / "nowhere.toml")


def test_the_variable_names_another_file():
    assert settings_path({"TDEV_SETTINGS": "/etc/tdev.toml"}) == Path("/etc/tdev.toml")
    assert settings_path({}).name == "tdev.toml"
    assert settings_path({"TDEV_SETTINGS": ""}) == include_dir() / "tdev.toml"


def test_no_secret_has_a_place_in_the_settings():
    for word in ("password", "secret", "token", "webhook"):
        assert f"{word} =" not in SHIPPED, "secrets live in connections"
    assert os.environ.get("TDEV_SETTINGS", "") == ""

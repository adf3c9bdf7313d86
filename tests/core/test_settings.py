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
    assert settings.retention.rules[0].days == 30
    with pytest.raises(Exception, match="frozen"):
        settings.retention.rules[0].days = 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "minimum_days = 14 ",
            "minimum_days = 140 ",
            "capacity: minimum_days must not be above history_days, or there is never enough history; lower it.",
            id="a history that is never enough",
        ),
        pytest.param(
            '  "use_slots",',
            '  "use_slot",',
            "agents.optimiser.passes: there is no pass 'use_slot'; write some of compress_strings, ",
            id="a pass that is not there",
        ),
        pytest.param(
            '  "use_slots",',
            '  "minimise_names",',
            "agents.optimiser.passes: two entries have the name 'minimise_names'",
            id="a pass twice",
        ),
        pytest.param(
            "\ndays = 30",
            "\nday = 30",
            "retention.rules[1].day: this key is unknown; did you mean days?",
            id="misspelt key",
        ),
        pytest.param(
            "maintenance_records_days = 400",
            "maintenance_records_hours = 9600",
            "retention.maintenance_records_hours: this key is unknown; did you mean maintenance_records_days?",
            id="wrong unit in the key",
        ),
        pytest.param(
            "\ndays = 30",
            '\ndays = "30d"',
            "retention.rules[1].days: '30d' is not a plain number; write the figure alone in days",
            id="unit in the value",
        ),
        pytest.param(
            "\ndays = 30",
            "\ndays = -30",
            "retention.rules[1].days: -30 is too small; give a figure at least 1 in days.",
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
            'regex = "WARNING|WARN"',
            'regex = "(?<!NO )WARN"',
            "logs.patterns[2]: the pattern warnings ((?<!NO )WARN) cannot be used: at position 1 stands a negative "
            "look-behind, which cannot be used here; write what may go before instead.",
            id="a pattern that would have to backtrack",
        ),
        pytest.param(
            "notifempty = true",
            "notifempty = true\ncopytruncate = true",
            "logs.rotation.copytruncate: copytruncate loses what is written between the copy and the cut; remove it",
            id="copytruncate",
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
        *[
            pytest.param(
                "disk_used_percent = { warning = 80, critical = 90 }",
                f"disk_used_percent = {{ warning = 80, critical = {figure} }}",
                f"health.infrastructure.disk_used_percent.critical: {shown} {said}",
                id=f"a limit of {figure}",
            )
            for figure, shown, said in [
                ("nan", "nan", "is not a plain number; write the figure alone"),
                ("inf", "inf", "is not a plain number; write the figure alone"),
                ("800", "800", "is too large; give a figure of at most 100."),
                ("true", "True", "is not a plain number; write the figure alone"),
            ]
        ],
        pytest.param(
            "load_per_core = { warning = 2,",
            "load_per_core = { warning = -2,",
            "health.infrastructure.load_per_core.warning: -2 is too small; give a figure at least 0.",
            id="negative limit",
        ),
        pytest.param(
            "cache_hit_percent = { warning = 98, critical = 90 }",
            "cache_hit_percent = { warning = 0.98, critical = 0.9 }",
            "health.database.cache_hit_percent: warning = 0.98 is a fraction; write it in percent: 98, not 0.98.",
            id="fraction instead of percent",
        ),
        pytest.param(
            'name = "ws.t-developer.com"',
            'name = "API.t-developer.com"',
            "public_names: two entries have the name and port 'api.t-developer.com:443'; give each its own",
            id="one public name twice",
        ),
        pytest.param(
            "[[public_names]]",
            '[[hosts]]\nname = "t-developer-1"\nreach = "local"\n\n[[public_names]]',
            "hosts: two entries have the name 't-developer-1'; give each its own, or remove one.",
            id="two hosts with one name",
        ),
        pytest.param(
            'path = "/agents"',
            'path = "/health"',
            "health.api.endpoints: two entries have the path '/health'; give each its own",
            id="one endpoint twice",
        ),
        pytest.param(
            "stalled_after_seconds = 7200",
            "stalled_after_seconds = 3600",
            "evolution: stalled_after_seconds must be above generation_interval_seconds",
            id="stalled between two generations",
        ),
        *[
            pytest.param(old, new, said, id=name)
            for old, new, said, name in (
                (
                    'checkpoint_key = "checkpoint_gen{generation}.json"',
                    'checkpoint_key = "checkpoint.json"',
                    'evolution.recovery: checkpoint_key names no generation; write "{generation}" once',
                    "a checkpoint of no generation",
                ),
                (
                    'resume_body = { checkpoint = "{checkpoint}" }',
                    'resume_body = { checkpoint = "newest" }',
                    'evolution.recovery: resume_body names no checkpoint; write "{checkpoint}" where its key belongs.',
                    "resumed from nowhere",
                ),
                (
                    "generation_wait_seconds = 5400",
                    "generation_wait_seconds = 9000",
                    "evolution.recovery: generations_to_see times generation_wait_seconds is more than the 3.5 hours",
                    "a wait longer than its task",
                ),
                (
                    'errors_pattern = " (ERROR|CRITICAL|FATAL) "',
                    'errors_pattern = " (ERROR"',
                    "evolution.recovery: errors_pattern is no expression (missing ), unterminated subpattern",
                    "errors that cannot be looked for",
                ),
                (
                    "lock_files = []",
                    'lock_files = ["evolution.pid"]',
                    "evolution.recovery.lock_files[1]: 'evolution.pid' is not an absolute path; begin it with /.",
                    "a lock file somewhere",
                ),
                (
                    'service_pid = ["systemctl", "show", "--property=MainPID", "--value", "{service}"]',
                    'service_pid = ["pidof", "engine"]',
                    'memory_relief: service_pid names no service; write "{service}" where its name belongs.',
                    "one process for all services",
                ),
                (
                    "service_percent = 10 ",
                    "service_percent = 0 ",
                    "memory_relief.service_percent: 0 is too small; give a figure above 0 in percent.",
                    "a restart of what holds nothing",
                ),
            )
        ],
        pytest.param(
            'disks = ["/", "/var/log"]',
            "disks = []",
            "hosts[1].disks: the list is empty; give at least one.",
            id="a host without disks",
        ),
        pytest.param(
            'disks = ["/", "/var/log"]',
            'disks = ["var/log"]',
            "hosts[1].disks[1]: 'var/log' is not an absolute path; begin it with /.",
            id="relative disk",
        ),
        pytest.param(
            'directory = "/var/log/t-developer"',
            'directory = "log"',
            "logs.directory: 'log' is not an absolute path; begin it with /.",
            id="relative log folder",
        ),
        pytest.param(
            'health_path = "/health"',
            'health_path = "health"',
            "health.api.health_path: 'health' is not a path of the API; begin it with /",
            id="relative path of the API",
        ),
        pytest.param(
            'checkpoints = "t-developer-checkpoints"',
            'checkpoints = "t-developer-agents"',
            "buckets: agents and checkpoints name the same bucket 't-developer-agents';",
            id="agents among the checkpoints",
        ),
        pytest.param(
            'resolver = "system"',
            'resolver = "foo"',
            'dns.resolver: \'foo\' is no resolver; write "system" or "address:port"',
            id="no resolver",
        ),
        pytest.param(
            "\ndays = 90",
            "\ndays = 29",
            "retention.rules[1]: the exception importance = 'high' has 29 days and the rule 30: what is",
            id="what is important goes first",
        ),
        *[
            pytest.param(
                'source_key = "{name}/{version}.py"',
                f'source_key = "{pattern}"',
                "health.agents: source_key must hold {name}, may hold {version}, and no other field;",
                id=f"source key {pattern}",
            )
            for pattern in ("agent.py", "{name}/{id}.py", "{name}/{version.py", "{name}{}")
        ],
        pytest.param(
            "confirm_pause_seconds = 0.5",
            "confirm_pause_seconds = 60",
            "health.confirm_pause_seconds: 60 is too large; give a figure of at most 5 in seconds.",
            id="pause longer than the check",
        ),
        pytest.param(
            "check_timeout_seconds = 20",
            "check_timeout_seconds = 0.0001",
            "health.check_timeout_seconds: 0.0001 is too small; give a figure at least 5 in seconds.",
            id="no time at all",
        ),
    ],
)
def test_each_mistake_gets_one_sentence_with_file_key_and_remedy(tmp_path, old, new, expected):
    message = complaint(tmp_path, old, new)
    assert expected in message
    assert "\n" not in message


def test_two_mistakes_get_two_sentences(tmp_path):
    message = complaint(tmp_path, "\ndays = 30\narchive", "\ndays = 0\narchived")
    assert "retention.rules[1].days: 0 is too small" in message
    assert "did you mean archive?" in message


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

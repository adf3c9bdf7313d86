from pathlib import Path

import pytest

from tdev_operators.core.errors import SettingsError
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

SHIPPED = (include_dir() / "tdev.toml").read_text(encoding="utf-8")


def test_the_guides_values_are_shipped():
    rules = load_settings(include_dir() / "tdev.toml").tuning
    assert rules.database == {
        "max_connections": 200,
        "shared_buffers": "4GB",
        "work_mem": "16MB",
        "maintenance_work_mem": "256MB",
    }
    assert rules.application["max_connections"] == 1000
    assert rules.application["population_size"] == 150


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('work_mem = "16MB"', '"work mem" = "16MB"', "tuning: database.work mem is no name of a setting"),
        ('work_mem = "16MB"', 'work_mem = "16MB"\nWORK_MEM = "8MB"', "two entries have the name 'work_mem'"),
        ('database_service = ""', 'database_service = "pg"', "database_service and data_directory belong together"),
        ('managed = ""', 'managed = "heroku"', "tuning.managed: 'heroku' is not one of the choices"),
        ('"restart", "{service}"]', '"restart"]', 'service_restart lacks its place; write "{service}"'),
        ('log_duration = " ([0-9]+) ms "', 'log_duration = "[0-9]+ ms"', "log_duration needs exactly one group"),
        ('log_duration = " ([0-9]+) ms "', 'log_duration = "("', "log_duration is no expression"),
        ("shared_memory_percent = 40", "shared_memory_percent = 0", "tuning.shared_memory_percent: 0 is too small"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(tmp_path: Path, old, new, says):
    assert old in SHIPPED
    file = tmp_path / "tdev.toml"
    file.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SettingsError, match=r".*") as refused:
        load_settings(file)
    assert says in str(refused.value)

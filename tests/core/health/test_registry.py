"""Every check is whole: its SQL, its test, its hint, its targets. And names in the settings mean checks."""

import re
from pathlib import Path

import pytest

from tdev_operators.core.errors import SettingsError
from tdev_operators.core.health import registry
from tdev_operators.core.health.registry import AREAS, REACHABILITY, all_checks, covers, refuse_unknown_names
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.sql import include_dir

TESTS = Path(__file__).resolve().parent
SOURCES = Path(registry.__file__).resolve().parent
CHECKS = all_checks()
TARGETS = {*REACHABILITY, "dns", "tls"}


def test_every_area_has_checks_and_names_are_unique():
    names = [check.name for check in CHECKS]
    assert {name.partition(".")[0] for name in names} == set(AREAS)
    assert len(names) == len(set(names))
    assert set(REACHABILITY.values()) <= set(names)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_is_whole(check):
    area, _, stem = check.name.partition(".")
    assert re.match(r"[A-Z].+\.$", check.about), "the first line of the docstring says what it is about"
    assert len(check.hint) > 20
    assert check.needs
    assert set(check.needs) <= TARGETS
    assert (TESTS / area / f"test_{stem}.py").is_file(), "a check without its test"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_that_queries_has_its_sql(check):
    source = (SOURCES / f"{check.name.replace('.', '/')}.py").read_text(encoding="utf-8")
    asks_database = "system.database" in source
    loads = re.findall(r'load_sql\("(health/\w+)"\)', source)
    for name in loads:
        assert (include_dir() / "sql" / f"{name}.sql").is_file()
    if "database.rows" in source:
        assert f"health/{check.name.rpartition('.')[2]}" in loads
    if asks_database:
        assert "database" in check.needs


def test_no_sql_is_left_over_and_each_says_what_a_row_means():
    used = {
        name
        for source in SOURCES.rglob("*.py")
        for name in re.findall(r'load_sql\("health/(\w+)"\)', source.read_text(encoding="utf-8"))
    }
    files = {file.stem: file.read_text(encoding="utf-8") for file in (include_dir() / "sql" / "health").glob("*.sql")}
    assert used == set(files)
    for name, text in files.items():
        assert re.match(r"-- (A row is|One row)", text), name
        assert not re.search(r"%(?!\(\w+\)s)", text), f"{name} must run unchanged in psql"


def test_patterns():
    assert covers("database.reachable", "database.reachable")
    assert covers("database.*", "database.reachable")
    assert not covers("database", "database.reachable")
    assert not covers("data.*", "database.reachable")
    assert not covers("*", "database.reachable")


def test_names_that_mean_no_check_are_refused(change):
    entries = tuple(OutOfScopeSettings(check=name, reason="r", owner="o") for name in ("api.*", "databse.*"))
    settings = change({"out_of_scope": entries})
    with pytest.raises(SettingsError, match=r"out_of_scope: no check is named 'databse\.\*'; write"):
        refuse_unknown_names(settings, [check.name for check in CHECKS])


def test_a_silence_that_means_no_check_is_refused(change):
    named = ("api.*", "api.latenzy", "backup.*", "backup.size", "backup.provable_t_developer", "backup.sise")
    silences = tuple(Silence.model_construct(check=name, owner="o", reason="r", until=None) for name in named)
    with pytest.raises(SettingsError) as refusal:
        refuse_unknown_names(change({"silences": silences}), [check.name for check in CHECKS])
    assert re.findall(r"'(.+?)'", str(refusal.value)) == ["api.latenzy", "backup.sise"]


def test_a_backup_cannot_be_told_not_to_look_whether_it_can_be_restored(change):
    named = ("backup.protection", "backup.proven", "backup.*")
    entries = tuple(OutOfScopeSettings(check=name, reason="r", owner="o") for name in named)
    with pytest.raises(SettingsError) as refusal:
        refuse_unknown_names(change({"out_of_scope": entries}), [check.name for check in CHECKS])
    assert re.findall(r"'(.+?)'", str(refusal.value)) == ["backup.proven", "backup.*"]

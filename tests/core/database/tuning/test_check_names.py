from pathlib import Path

import pytest

from tdev_operators.core.database.tuning.check_names import ABOUT, is_named
from tdev_operators.core.errors import SettingsError
from tdev_operators.core.health.registry import refuse_unknown_names
from tdev_operators.core.settings import OutOfScopeSettings, load_settings

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "tuning.md").read_text(encoding="utf-8")


def test_every_check_stands_on_its_page():
    assert [name for name, about in ABOUT.items() if f"| `{name}` | {about} |\n" not in PAGE] == []


def test_they_may_be_named_in_the_settings():
    assert is_named("tuning.*")
    assert not is_named("tuning.nothing")
    for name, good in (("tuning.file_errors", True), ("tuning.file_error", False)):
        entry = OutOfScopeSettings(check=name, reason="r", owner="o")
        settings = load_settings().model_copy(update={"out_of_scope": (entry,)})
        if good:
            refuse_unknown_names(settings, [])
        else:
            with pytest.raises(SettingsError, match=r"no check is named 'tuning\.file_error'"):
                refuse_unknown_names(settings, [])

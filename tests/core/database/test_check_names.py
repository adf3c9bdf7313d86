import pytest

from tdev_operators.core.database.check_names import ABOUT
from tdev_operators.core.errors import SettingsError
from tdev_operators.core.health.registry import all_checks, refuse_unknown_names
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.scope import parted
from tdev_operators.core.settings import OutOfScopeSettings
from tests.analysed import shipped

CHECKS = [check.name for check in all_checks()]


def off(*names):
    return tuple(OutOfScopeSettings(check=name, reason="r", owner="Ada") for name in names)


@pytest.mark.parametrize("name", [*ABOUT, "performance.*", "capacity.*"])
def test_the_health_check_lets_the_names_of_others_stand_in_the_settings(name):
    silence = Silence.model_construct(check=name, owner="o", reason="r", until=None)
    settings = shipped(off(name)).model_copy(update={"silences": (silence,)})
    refuse_unknown_names(settings, CHECKS)
    with pytest.raises(SettingsError, match=r"performance\.regresions"):
        refuse_unknown_names(shipped(off(name, "performance.regresions")), CHECKS)


def test_names_are_parted_one_by_one_or_as_an_area():
    names = ["performance.growth", "capacity.disk", "capacity.wal"]
    wanted, out = parted(names, shipped(off("capacity.disk", "performance.*")))
    assert wanted == {"capacity.wal"}
    assert [(each.check, each.owner) for each in out] == [("performance.growth", "Ada"), ("capacity.disk", "Ada")]

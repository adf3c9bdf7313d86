"""database.reachable."""

import pytest

from tdev_operators.core.errors import AccessDeniedError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.health.database import reachable
from tdev_operators.core.verdicts import Verdict


def test_a_database_that_answers(ports, shipped, arena):
    result = reachable.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert "PostgreSQL 18." in result.summary
    assert result.coverage.tool.startswith("PostgreSQL 18.")


@pytest.mark.parametrize("error", [TargetUnreachableError, TargetTimeoutError, AccessDeniedError])
def test_a_database_that_does_not_is_critical(ports, shipped, fakes, error):
    result = reachable.check(ports(database=fakes.Database(error("It is down."))), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "Database t_developer cannot be used: It is down."

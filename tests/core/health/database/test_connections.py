"""database.connections."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.database import connections
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import Verdict


@pytest.mark.parametrize("version", ["arena", "arena_16"])
def test_few_connections(ports, shipped, request, version):
    arena = request.getfixturevalue(version)
    result = connections.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert "of 197 connections" in result.summary  # max_connections 200 less superuser_reserved_connections 3


@pytest.mark.parametrize(("warning", "critical", "verdict"), [(2, 50, Verdict.WARNING), (1, 2, Verdict.CRITICAL)])
def test_many_connections(ports, change, arena, warning, critical, verdict):
    settings = change({"health.database.connections_used_percent": Ceiling(warning=warning, critical=critical)})
    held = [arena.connect() for _ in range(5)]
    try:
        result = connections.check(ports(database=arena.look), settings)
    finally:
        for connection in held:
            connection.close()
    assert result.verdict is verdict
    assert connections.DOUBTFUL


def test_a_role_that_sees_only_itself_does_not_judge(ports, shipped, arena):
    with pytest.raises(AccessDeniedError, match="grant it pg_monitor"):
        connections.check(ports(database=arena.blind), shipped)

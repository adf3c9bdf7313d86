"""All checks that query: on PostgreSQL 16 and 18, and by a role that may see nothing."""

import pytest

from tdev_operators.core.health.registry import all_checks
from tdev_operators.core.health.run import run_health_check
from tdev_operators.core.verdicts import Verdict

QUERYING = [check for check in all_checks() if check.needs == ("database",) and not check.name.startswith("security.")]

NEEDS_PG_MONITOR = {
    f"database.{name}" for name in ("connections", "lock_waits", "long_transactions", "replication_lag")
}


@pytest.mark.parametrize("version", ["arena", "arena_16"])
def test_every_query_runs(ports, change, request, version, t_developer_schema):
    arena = request.getfixturevalue(version)
    arena.run(t_developer_schema)
    settings = change({"health.database.cache_minimum_blocks": 1})
    outcome = run_health_check(ports(database=arena.look), settings, checks=QUERYING)
    assert not [result.summary for result in outcome.results if "Could not look" in result.summary]
    unknown = {result.check for result in outcome.results if result.verdict is Verdict.UNKNOWN}
    # T-Developer's tables are empty.
    assert unknown <= {result.check for result in outcome.results if not result.check.startswith("database.")}


@pytest.mark.parametrize("version", ["arena", "arena_16"])
def test_a_role_without_rights_never_makes_green_what_it_cannot_see(
    ports, change, request, version, t_developer_schema
):
    arena = request.getfixturevalue(version)
    arena.run(t_developer_schema, "CREATE SEQUENCE hidden")
    outcome = run_health_check(ports(database=arena.blind), change({}), checks=QUERYING)
    ok = {result.check for result in outcome.results if result.verdict is Verdict.OK}
    assert not ok & NEEDS_PG_MONITOR
    assert not {name for name in ok if not name.startswith("database.")}
    assert "database.sequence_exhaustion" not in ok

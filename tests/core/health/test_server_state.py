"""How old the server's counters are: after a reset by hand, and after a crash."""

import time

import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres import PostgresDatabase


def test_a_reset_by_hand_is_seen(arena):
    before = ServerState.of(arena.look)
    time.sleep(0.3)
    arena.run("SELECT pg_stat_reset()")
    after = ServerState.of(arena.look)
    assert after.statistics_hours * 3600 < before.statistics_hours * 3600 + 0.3
    assert after.sees_all_sessions
    assert not ServerState.of(arena.blind).sees_all_sessions


@pytest.mark.parametrize("version", [16, 18])
def test_a_crash_that_zeroes_the_counters_is_seen(supervisor, version):
    cluster = Cluster(supervisor, f"test-crash-{version}", version=version).start()
    try:
        info = cluster.conninfo()
        facts = ConnectionFacts("x", "postgres", info["host"], info["port"], info["user"], info["password"], "postgres")
        time.sleep(2)
        age = ServerState.of(PostgresDatabase(facts)).statistics_hours * 3600
        cluster.kill()
        killed = time.monotonic()
        cluster.start()
        young = ServerState.of(PostgresDatabase(facts)).statistics_hours * 3600
        assert young < time.monotonic() - killed + 0.1
        assert age >= 2
    finally:
        cluster.stop()

"""database.replication_slots."""

import pytest

from tdev_operators.core.health.database import replication_slots
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import Verdict


@pytest.fixture(params=["arena", "arena_16"])
def with_slot(request):
    """Return a database whose cluster has a slot that nobody reads."""
    arena = request.getfixturevalue(request.param)
    arena.run("SELECT pg_create_physical_replication_slot('health_test', true)")
    yield arena
    arena.run("SELECT pg_drop_replication_slot('health_test')")


def test_no_slot(ports, shipped, arena):
    result = replication_slots.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert result.summary == "There is no slot."


def test_a_slot_that_nobody_reads(ports, change, with_slot):
    settings = change({"health.database.inactive_slot_minutes": Ceiling(warning=0, critical=0)})
    result = replication_slots.check(ports(database=with_slot.look), settings)
    # 16 does not say since when.
    assert result.verdict is (Verdict.WARNING if with_slot.cluster.version == 16 else Verdict.CRITICAL)
    assert "slot health_test" in result.summary


def test_a_slot_that_keeps_wal(ports, change, with_slot):
    with_slot.run("SELECT pg_current_xact_id()", "SELECT pg_switch_wal()")
    settings = change({"health.database.slot_retained_mb": Ceiling(warning=0.001, critical=0.001)})
    result = replication_slots.check(ports(database=with_slot.look), settings)
    assert result.verdict is Verdict.CRITICAL
    assert "MB of WAL from being removed" in result.summary


@pytest.mark.parametrize(
    "values", [{"wal_status": "lost"}, {"wal_status": "unreserved"}, {"invalid_because": "idle_timeout"}]
)
def test_a_lost_slot_is_critical(ports, shipped, with_slot, patched, values):
    lost = patched(with_slot.look, {"slots.wal_status": values})
    result = replication_slots.check(ports(database=lost), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "is lost or about to be" in result.summary

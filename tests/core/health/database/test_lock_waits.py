"""database.lock_waits."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.database import lock_waits
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import Verdict


def test_nobody_waits(ports, shipped, arena):
    assert lock_waits.check(ports(database=arena.look), shipped).summary == "No session waits for a lock."


@pytest.mark.parametrize(("critical", "verdict"), [(0.0, Verdict.CRITICAL), (3600.0, Verdict.OK)])
def test_a_wait_against_its_limit(ports, change, arena, blocked, until, critical, verdict):
    settings = change({"health.database.lock_wait_seconds": Ceiling(warning=critical, critical=critical)})
    arena.run("CREATE TABLE t (a int)")
    with arena.connect(autocommit=False, application_name="the holder") as holder:
        holder.execute("LOCK TABLE t")
        with blocked(arena, "INSERT INTO t VALUES (1)", holder.rollback):
            until(lambda: arena.look.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL"))
            result = lock_waits.check(ports(database=arena.look), settings)
            pid = holder.info.backend_pid
    assert result.verdict is verdict
    assert {m.name: m.value for m in result.measurements}["sessions waiting for a lock"] == 1
    if verdict is Verdict.CRITICAL:
        assert "RowExclusiveLock on t" in result.summary
        assert f"behind pid {pid} (postgres idle in transaction)" in result.summary
    assert lock_waits.DOUBTFUL


def test_a_role_that_sees_only_itself_does_not_judge(ports, shipped, arena):
    with pytest.raises(AccessDeniedError):
        lock_waits.check(ports(database=arena.blind), shipped)

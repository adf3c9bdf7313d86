"""database.long_transactions."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.database import long_transactions
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import Verdict

AT_ONCE = Ceiling(warning=0, critical=0)
NEVER = Ceiling(warning=1e9, critical=1e9)


def limits(minutes=NEVER, idle=NEVER, xmin=NEVER):
    return {
        "health.database.transaction_minutes": minutes,
        "health.database.idle_in_transaction_minutes": idle,
        "health.database.xmin_age_transactions": xmin,
    }


def test_nothing_long(ports, shipped, arena):
    assert long_transactions.check(ports(database=arena.look), shipped).verdict is Verdict.OK


def test_an_idle_transaction_is_critical_and_named(ports, change, arena):
    with arena.connect(autocommit=False, application_name="forgotten shell") as connection:
        connection.execute("SELECT 1")
        result = long_transactions.check(ports(database=arena.look), change(limits(idle=AT_ONCE)))
        assert result.verdict is Verdict.CRITICAL
        assert f"pid {connection.info.backend_pid} of postgres (forgotten shell)" in result.summary
        assert "idle in a transaction" in result.summary
        connection.rollback()


def test_who_holds_the_xmin_horizon(ports, change, arena):
    with arena.connect(autocommit=False) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 1")
        with arena.connect() as other:
            for _ in range(20):
                other.execute("SELECT pg_current_xact_id()")
        settings = change(limits(xmin=Ceiling(warning=20, critical=1000)))
        result = long_transactions.check(ports(database=arena.look), settings)
        assert result.verdict is Verdict.WARNING
        assert f"pid {connection.info.backend_pid}" in result.summary
        assert "keeps VACUUM from removing" in result.summary
        connection.rollback()


def test_a_prepared_transaction_is_found(ports, change, arena_16):
    with arena_16.connect() as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("PREPARE TRANSACTION 'lost one'")
        try:
            result = long_transactions.check(ports(database=arena_16.look), change(limits(minutes=AT_ONCE)))
        finally:
            connection.execute("ROLLBACK PREPARED 'lost one'")
    assert result.verdict is Verdict.CRITICAL
    assert "prepared transaction 'lost one' of postgres" in result.summary


def test_a_role_that_sees_only_itself_does_not_judge(ports, shipped, arena):
    with pytest.raises(AccessDeniedError):
        long_transactions.check(ports(database=arena.blind), shipped)


def figures(result, pid):
    return {m.name.rpartition(" ")[2]: m.value for m in result.measurements if f"pid {pid} " in m.name}


def test_idle_is_measured_since_the_last_statement(ports, shipped, arena):
    with arena.connect(autocommit=False, application_name="worker") as connection:
        connection.execute("SELECT pg_sleep(1.5)")
        result = long_transactions.check(ports(database=arena.look), shipped)
        found = figures(result, connection.info.backend_pid)
        assert found["open"] > found["idle"]
        connection.rollback()


@pytest.mark.parametrize("who", ["pg_dump", "tdev-maintenance backup"])
def test_who_idles_by_design_is_judged_by_its_transaction(ports, change, arena, who):
    with arena.connect(autocommit=False, application_name=who) as connection:
        connection.execute("SELECT 1")
        pid = connection.info.backend_pid
        at_work = long_transactions.check(ports(database=arena.look), change(limits(idle=AT_ONCE)))
        too_long = long_transactions.check(ports(database=arena.look), change(limits(minutes=AT_ONCE)))
        connection.rollback()
    assert "idle" not in figures(at_work, pid)
    assert too_long.verdict is Verdict.CRITICAL
    assert f"session pid {pid} of postgres ({who}) has been in a transaction" in too_long.summary


def test_a_manual_vacuum_holds_nothing_back(ports, change, arena, slow_vacuum):
    arena.run("CREATE TABLE t (a int)", "INSERT INTO t SELECT generate_series(1, 50000)", "DELETE FROM t")
    pid = slow_vacuum(arena, "t")
    result = long_transactions.check(ports(database=arena.look), change(limits(AT_ONCE, AT_ONCE, AT_ONCE)))
    assert not figures(result, pid)


def test_a_concurrent_index_build_is_judged_by_what_it_holds_back_only(ports, change, arena, waiters):
    arena.run("CREATE TABLE t (a int)")
    with arena.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        (pid,) = waiters(arena, "CREATE INDEX CONCURRENTLY ON t (a)")
        result = long_transactions.check(ports(database=arena.look), change(limits(AT_ONCE, AT_ONCE)))
        names = [m.name for m in result.measurements if f"pid {pid} " in m.name]
        writer.rollback()
    assert not [name for name in names if name.endswith((" open", " idle"))]


def test_of_many_the_worst_by_each_figure_are_measured(ports, shipped, arena, under_way):
    pids = [under_way(arena, "SELECT pg_sleep(600)") for _ in range(25)]
    with arena.connect(autocommit=False) as idle:
        idle.execute("SELECT 1")
        result = long_transactions.check(ports(database=arena.look), shipped)
        found = figures(result, idle.info.backend_pid)
        idle.rollback()
    assert {m.name: m.value for m in result.measurements}["open transactions and slots"] >= 26
    assert sum(m.name.endswith(" open") for m in result.measurements) <= 20
    assert figures(result, pids[0])
    assert "idle" in found

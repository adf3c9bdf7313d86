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

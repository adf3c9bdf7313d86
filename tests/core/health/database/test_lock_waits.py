"""database.lock_waits."""

import re
from dataclasses import replace

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


AT_ONCE = {"health.database.lock_wait_seconds": Ceiling(warning=0, critical=0)}


@pytest.mark.parametrize(
    ("hold", "wait"),
    [
        ("SELECT pg_advisory_lock(1)", "SELECT pg_advisory_lock(1)"),  # the election of a leader
        ("INSERT INTO t VALUES (1)", "CREATE INDEX CONCURRENTLY ON t (a)"),  # waits for older transactions
    ],
)
def test_a_wait_by_design_is_told_and_not_judged(ports, change, arena, waiters, hold, wait):
    arena.run("CREATE TABLE t (a int)")
    with arena.connect(autocommit=False) as holder:
        holder.execute(hold)
        waiters(arena, wait)
        result = lock_waits.check(ports(database=arena.look), change(AT_ONCE))
        holder.rollback()
    assert result.verdict is Verdict.OK
    figures = {m.name: m.value for m in result.measurements}
    assert figures["sessions waiting for a lock"] == 0
    assert figures["sessions waiting by design"] == 1
    assert "1 sessions wait by design" in result.summary


def test_a_table_of_another_database_is_not_called_by_a_name_of_ours(ports, change, arena, waiters):
    other = replace(arena, dbname="postgres")
    other.run("CREATE TABLE theirs (a int)")
    try:
        with other.connect(autocommit=False) as holder:
            holder.execute("LOCK TABLE theirs")
            waiters(other, "SELECT FROM theirs")
            result = lock_waits.check(ports(database=arena.look), change(AT_ONCE))
            holder.rollback()
    finally:
        other.run("DROP TABLE theirs")
    assert "AccessShareLock on a relation of the database postgres" in result.summary


def test_a_lock_storm_costs_twenty_looks_and_twenty_figures(ports, change, arena, waiters):
    # Ours, found before the server's: only what is no built-in is counted.
    arena.run(
        "CREATE SCHEMA counting",
        "CREATE FUNCTION counting.pg_blocking_pids(int) RETURNS int[] LANGUAGE plpgsql "
        "AS 'BEGIN RETURN pg_catalog.pg_blocking_pids($1); END'",
        "GRANT USAGE ON SCHEMA counting TO health_looker",
        f"ALTER ROLE health_looker IN DATABASE {arena.dbname} SET search_path = counting, public, pg_catalog",
        f"ALTER ROLE health_looker IN DATABASE {arena.dbname} SET track_functions = 'all'",
        "CREATE TABLE t (a int)",
    )
    with arena.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE t")
        waiters(arena, "TRUNCATE t", 25)
        result = lock_waits.check(ports(database=arena.look), change(AT_ONCE))
        holder.rollback()
    figures = {m.name: m.value for m in result.measurements}
    assert figures["sessions waiting for a lock"] == 25
    assert sum(name.startswith("wait of pid") for name in figures) == 20
    calls = arena.look.rows("SELECT calls FROM pg_stat_user_functions WHERE funcname = 'pg_blocking_pids'")
    assert 1 <= calls[0]["calls"] <= 20
    assert re.search(r"\(.*\), pid .* and \d more", result.summary)  # of the sessions ahead of a waiter

"""database.invalid_indexes."""

import psycopg
import pytest

from tdev_operators.core.health.database import invalid_indexes
from tdev_operators.core.verdicts import Verdict


def leave_invalid(arena, statement="CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)"):
    with arena.connect() as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("INSERT INTO t VALUES (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(statement)


@pytest.mark.parametrize("version", ["arena", "arena_16"])
@pytest.mark.parametrize("role", ["look", "blind"])
def test_a_leftover_is_critical_with_its_remedy(ports, shipped, request, version, role):
    arena = request.getfixturevalue(version)
    leave_invalid(arena)
    result = invalid_indexes.check(ports(database=getattr(arena, role)), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "t_a on t" in result.summary
    assert result.hint == "REINDEX INDEX CONCURRENTLY t_a;"


def test_all_valid(ports, shipped, arena):
    arena.run("CREATE TABLE t (a int PRIMARY KEY)")
    result = invalid_indexes.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert result.hint == ""  # the runner gives the check's own


@pytest.mark.parametrize("name", ["t_a_ccnew", "t_a_ccnew1", "t_a_ccold2"])
def test_leftovers_of_reindex_are_to_be_dropped(ports, shipped, arena, name):
    leave_invalid(arena, f'CREATE UNIQUE INDEX CONCURRENTLY "{name}" ON t (a)')
    result = invalid_indexes.check(ports(database=arena.look), shipped)
    assert result.hint == f"DROP INDEX CONCURRENTLY {name};"


@pytest.mark.parametrize("role", ["look", "blind"])
@pytest.mark.parametrize("statement", ["CREATE INDEX CONCURRENTLY t_b ON t (b)", "REINDEX TABLE CONCURRENTLY t"])
def test_what_is_being_built_is_no_finding(ports, shipped, arena, blocked, until, statement, role):
    arena.run("CREATE TABLE t (a int PRIMARY KEY, b text)", "INSERT INTO t VALUES (1, 'x')")
    database = getattr(arena, role)
    with arena.connect(autocommit=False) as holder:
        holder.execute("UPDATE t SET b = 'y'")  # a builder waits for all who write to the table
        with blocked(arena, statement, holder.rollback):
            until(lambda: database.rows("SELECT 1 FROM pg_index WHERE NOT indisvalid"))
            result = invalid_indexes.check(ports(database=database), shipped)
    assert result.verdict is Verdict.OK
    assert "are being built" in result.summary

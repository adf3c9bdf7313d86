"""Restoring beside the live database: proven there, made anew after a kill, and nobody else's database is touched."""

import pytest

from tdev_operators.core.backup.database.properties import properties_of
from tdev_operators.core.errors import InputError, ProofFailedError, TransientError

TABLES = ("agents", "agent_versions", "evolution_history", "metrics")


def counts(day, database):
    with day.system.source.connect(database) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


def comment(day, name):
    with day.system.source.connect("postgres") as connection:
        return connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()[0]


def properties(day, name):
    with day.ports() as ports, ports.session() as session:
        found = properties_of(session, name)
    return found.model_copy(update={"comment": ""})


def test_the_newest_proven_set_stands_beside_the_live_database_and_is_equal(day):
    told = []
    with day.restore(progress=told.append) as restore:
        restored = restore.restore_database()
    assert restored.is_proven, restored.differences
    assert restored.name == "t_developer_restored_000001"
    assert restored.tables >= 9
    assert counts(day, restored.name) == counts(day, "t_developer")
    assert {"globals", "fetch", "data", "post_data", "analyze", "verify"} <= restored.phases.keys()
    assert comment(day, restored.name).endswith(" proven")
    assert properties(day, restored.name) == properties(day, "t_developer"), "owner, grants and settings come along"
    assert any("restoring" in line for line in told)
    with day.system.source.connect(restored.name) as connection:
        analysed = "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename = 'agents'"
        assert connection.execute(analysed).fetchone()[0] > 3, "the first queries are not planned blindly"


def test_what_was_restored_is_not_restored_again(day):
    request = day.request(new_name="once")
    with day.restore(request) as restore:
        first = restore.restore_database()
    told = []
    with day.restore(request, progress=told.append) as restore:
        assert restore.restore_database() == first
    assert told == ["once was restored by an earlier try of " + request.recovery_id]


@pytest.mark.parametrize("moment", ["restoring", "MiB"])
def test_a_try_that_died_is_cleared_away_by_the_next(day, moment):
    request = day.request(new_name="died")

    class Killed(BaseException):
        pass

    def dies(line):
        if moment in line:
            raise Killed

    calls = iter(range(3))

    def dies_later():
        if moment == "MiB" and next(calls, None) is None:
            raise Killed

    with pytest.raises(Killed), day.restore(request, progress=dies, check=dies_later) as restore:
        restore.restore_database()
    assert comment(day, "died").endswith(" filling")
    with day.restore(request) as restore:
        assert restore.restore_database().is_proven


def test_a_try_that_died_before_its_mark_is_known_by_the_journal_and_by_emptiness(day):
    request = day.request(new_name="unmarked")
    with day.restore(request) as restore:
        restore.journal.note("database unmarked", "intended", set_id="")
    with day.system.source.connect("postgres") as connection:
        connection.execute("CREATE DATABASE unmarked")
    with day.restore(request) as restore:
        assert restore.restore_database().is_proven


@pytest.mark.parametrize("whose", ["nobody's", "another's", "full"])
def test_somebody_elses_database_is_refused_and_stays(day, whose):
    with day.system.source.connect("postgres") as connection:
        connection.execute("CREATE DATABASE precious")
        if whose == "another's":
            connection.execute("COMMENT ON DATABASE precious IS 'tdev_restore restore-other 000001-x filling'")
    request = day.request(new_name="precious")
    if whose == "full":
        with day.system.source.connect("precious") as connection:
            connection.execute("CREATE TABLE kept ()")
        with day.restore(request) as restore:
            restore.journal.note("database precious", "intended", set_id="")
    with day.restore(request) as restore, pytest.raises(InputError, match="precious is there already"):
        restore.restore_database()
    assert "precious" in day.names()


def test_the_live_database_is_never_a_new_name(day):
    with day.restore(new_name="t_developer") as restore, pytest.raises(InputError, match="is there already"):
        restore.restore_database()


def test_some_tables_come_with_their_rows_and_without_foreign_keys(day):
    with day.restore(tables=("agent_versions", "public.metrics")) as restore:
        restored = restore.restore_database()
    assert restored.is_proven, restored.differences
    assert restored.tables == 2
    found, live = counts(day, restored.name), counts(day, "t_developer")
    assert found == {**dict.fromkeys(TABLES, 0), "agent_versions": live["agent_versions"], "metrics": live["metrics"]}
    with day.system.source.connect(restored.name) as connection:
        (keys,) = connection.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone()
    assert keys == 0


def test_an_unknown_table_is_refused_before_anything_is_made(day):
    before = day.names()
    with day.restore(tables=("agentz",)) as restore, pytest.raises(InputError, match="'agentz' is not in the set"):
        restore.restore_database()
    assert day.names() == before


def test_roles_that_exist_keep_what_they_may(day):
    with day.system.source.connect("postgres") as connection:
        connection.execute("ALTER ROLE maintenance CONNECTION LIMIT 7")
        connection.execute("ALTER ROLE maintenance SET work_mem = '9MB'")
        try:
            with day.restore() as restore:
                assert restore.restore_database().is_proven
            kept = connection.execute(
                "SELECT rolconnlimit, rolconfig FROM pg_roles WHERE rolname = 'maintenance'"
            ).fetchone()
        finally:
            connection.execute("ALTER ROLE maintenance CONNECTION LIMIT -1")
            connection.execute("ALTER ROLE maintenance RESET ALL")
    assert kept == (7, ["work_mem=9MB"])


def test_a_damaged_object_stops_it(day):
    (set_id,) = {key.split("/")[1] for key in list(day.house.keys()) if "/database/" in key}
    key = next(key for key in day.house.keys(set_id) if key.endswith("t_developer/toc.dat"))
    whole = day.house.read(key)
    day.house.write(key, whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with day.restore() as restore, pytest.raises(ProofFailedError, match="SHA-256"):
            restore.restore_database()
    finally:
        day.house.write(key, whole)


def test_a_server_that_is_away_is_worth_another_try(day):
    with day.ports() as ports:
        away = ports.server("postgres")
    away._facts = type(away._facts)(
        **{**{name: getattr(away._facts, name) for name in away._facts.__slots__}, "port": 1}
    )
    with day.restore(ports={"server": lambda _name: away}) as restore, pytest.raises(TransientError):
        restore.restore_database()

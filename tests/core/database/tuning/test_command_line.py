"""A server whose starter decides on the command line, as Patroni does."""

import pytest

from sandbox.postgres import Cluster
from sandbox.system import TUNING_GRANTS
from tdev_operators.core.database.tuning.reading import look
from tdev_operators.core.database.tuning.told import database_result, owner_of
from tdev_operators.core.database.tuning.triangle import State, rows_of
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.records import facts_of


@pytest.fixture(scope="module")
def seen(supervisor):
    """What a role of few rights sees of it."""
    cluster = Cluster(supervisor, "tuned-by-patroni")
    real = cluster.binaries
    started = supervisor.home / "patroni"
    started.mkdir()
    for program in real.iterdir():
        (started / program.name).symlink_to(program)
    (started / "postgres").unlink()
    script = started / "postgres"
    script.write_text(f'#!/bin/sh\nexec {real}/postgres "$@" --cluster_name=main --max_connections=150\n')
    script.chmod(0o755)
    cluster._initdb()
    cluster.binaries = started
    cluster.start()
    cluster.create_role("dba", member_of=("pg_monitor", "pg_read_all_data"))
    with cluster.connect() as sql:
        for grant in TUNING_GRANTS:
            sql.execute(grant)
    with PostgresSource(facts_of(cluster.conninfo(user="dba"))).session() as session:
        found = look(session)
    cluster.stop()
    return found


def test_it_is_known_for_patroni_s(seen):
    assert seen.server.is_patroni
    assert owner_of("", seen) == "patroni"
    assert owner_of("rds", seen) == "rds", "the settings know best"


def test_a_value_of_the_command_line_is_fixed_there(seen):
    rows = rows_of({"max_connections": 200}, seen)
    assert rows[0].state is State.FIXED
    result = database_result(rows, seen, managed="", objections=(), memory_unknown="")
    assert "max_connections is 150 by the server's command line, and not the recommended 200." in result.summary
    assert "Patroni, by its dynamic configuration" in result.hint
    assert rows_of({"max_connections": 150}, seen)[0].state is State.SAME, "whatever the file says"

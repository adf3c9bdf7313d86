"""What hangs on a database is found, and refused where it cannot move."""

import pytest

from tdev_operators.core.errors import InputError
from tdev_operators.core.recovery.ties import Tie, Ties, refuse_what_cannot_move, ties_of


@pytest.fixture
def look(day):
    def looked(name):
        with day.ports() as ports, ports.session() as session:
            return ties_of(ports, session, name)

    return looked


def test_a_quiet_database_has_none(look):
    assert look("t_developer") == Ties(())


def test_links_and_jobs_of_other_databases_are_named(day, look):
    with day.system.source.connect("postgres") as connection:
        connection.execute("CREATE DATABASE elsewhere")
    with day.system.source.connect("elsewhere") as connection:
        connection.execute("CREATE FOREIGN DATA WRAPPER far")
        connection.execute("CREATE SERVER reports FOREIGN DATA WRAPPER far OPTIONS (dbname 't_developer')")
        connection.execute("CREATE SCHEMA cron")
        connection.execute("CREATE TABLE cron.job (jobid int, jobname text, database text)")
        connection.execute("INSERT INTO cron.job VALUES (1, 'nightly', 't_developer'), (2, 'other', 'postgres')")
    found = look("t_developer")
    assert set(map(str, found.found)) == {
        "foreign server reports in the database elsewhere",
        "cron job nightly in the database elsewhere",
    }
    refuse_what_cannot_move(found, "t_developer", slots_accepted=False)


def test_a_prepared_transaction_is_always_refused_and_a_slot_unless_accepted():
    with pytest.raises(InputError, match="commit it or roll it back"):
        refuse_what_cannot_move(Ties((Tie("prepared transaction", "gid-1"),)), "live", slots_accepted=True)
    slots = Ties((Tie("replication slot", "cdc"),))
    with pytest.raises(InputError, match="replication slot cdc reads the database live"):
        refuse_what_cannot_move(slots, "live", slots_accepted=False)
    refuse_what_cannot_move(slots, "live", slots_accepted=True)

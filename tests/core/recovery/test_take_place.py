"""The restored database takes the live one's place, or everything is as it was: whatever happens in between."""

import itertools
import threading

import psycopg
import pytest

from tdev_operators.core.errors import BusyError, InputError
from tdev_operators.core.recovery import take_place as module
from tdev_operators.core.recovery.database import RestoredDatabase
from tdev_operators.core.recovery.take_place import EXCHANGE, give_back, open_to_the_application, take_place

_NUMBERS = itertools.count(1)


@pytest.fixture
def shop(day):
    """A live database of its own, and a restored one: taking its place is then this test's alone."""
    name = f"shop_{next(_NUMBERS)}"
    source = day.system.source
    with source.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER t_developer CONNECTION LIMIT 33")
        connection.execute(f"COMMENT ON DATABASE {name} IS 'the shop''s'")
        connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        connection.execute(f"GRANT CONNECT ON DATABASE {name} TO maintenance WITH GRANT OPTION")
        connection.execute(f'ALTER DATABASE {name} SET search_path TO shop, "$user", public')
        connection.execute(f"ALTER DATABASE {name} SET app.tenant TO 'north''s'")
        connection.execute(f"ALTER ROLE maintenance IN DATABASE {name} SET work_mem TO '7MB'")
    return name


@pytest.fixture
def restored(day):
    """A database as a restore leaves it, proven."""
    name = f"restored_{next(_NUMBERS)}"
    with day.system.source.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute(f"COMMENT ON DATABASE {name} IS 'tdev_restore restore-x 000001-x proven'")
        (oid,) = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", (name,)).fetchone()
    with day.system.source.connect(name) as connection:
        connection.execute("CREATE TABLE agents AS SELECT 1 AS id")
    return RestoredDatabase(name=name, source="t_developer", set_id="000001-x", oid=oid, tables=1, rows=1)


def facts(day, name):
    """What a database's users notice, by name."""
    with day.system.source.connect("postgres") as connection:
        return connection.execute(
            "SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(d.oid, 'pg_database'), "
            "(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), "
            "(SELECT array_agg((setrole::regrole::text, setconfig)::text ORDER BY 1) FROM pg_db_role_setting "
            " WHERE setdatabase = d.oid) FROM pg_database d WHERE datname = %s",
            (name,),
        ).fetchone()


def oid(day, name):
    with day.system.source.connect("postgres") as connection:
        row = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", (name,)).fetchone()
        return row and row[0]


def exchange(day, restore, ports, restored, shop, **options):
    return take_place(ports, restored, shop, restore.journal, **{"drain_seconds": 0.1, **options})


def test_owner_grants_settings_and_comment_come_along_and_the_old_one_is_kept(day, shop, restored):
    before, live_oid = facts(day, shop), oid(day, shop)
    with day.restore() as restore, day.ports() as ports:
        places = exchange(day, restore, ports, restored, shop)
        assert oid(day, shop) == restored.oid
        assert oid(day, places.old_name) == live_oid
        assert facts(day, shop) == before
        for closed in (shop, places.old_name):
            with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
                day.system.source.connect(closed)
        open_to_the_application(ports, restore.journal)
        with day.system.source.connect(shop) as connection:
            assert connection.execute("SELECT count(*) FROM public.agents").fetchone()[0] > 0
            assert connection.execute("SHOW search_path").fetchone()[0] == 'shop, "$user", public'
            assert connection.execute("SHOW app.tenant").fetchone()[0] == "north's"
        with pytest.raises(InputError, match="may have written"):
            give_back(ports, restore.journal)


def test_who_is_connected_may_finish_and_is_then_sent_away(day, shop, restored):
    told = []
    quick, stubborn = (day.system.source.connect(shop) for _ in range(2))
    quick.execute("SELECT 1")
    threading.Timer(0.5, quick.close).start()
    with day.restore() as restore, day.ports() as ports:
        exchange(day, restore, ports, restored, shop, drain_seconds=1.5, progress=told.append)
    assert quick.closed
    with pytest.raises(psycopg.OperationalError):
        stubborn.execute("SELECT 1")
    assert [line for line in told if line.startswith("sending away 1 session")]


@pytest.mark.seeded
@pytest.mark.parametrize("step", ["_carry_over", "_close", "_exchange"])
def test_what_fails_before_the_names_are_exchanged_leaves_everything_as_it_was(day, shop, restored, monkeypatch, step):
    before, live_oid = facts(day, shop), oid(day, shop)

    def fails(*_args, **_options):
        raise BusyError("Somebody is in the way.")

    monkeypatch.setattr(module, step, fails)
    with day.restore() as restore, day.ports() as ports, pytest.raises(BusyError):
        exchange(day, restore, ports, restored, shop)
    assert (facts(day, shop), oid(day, shop), oid(day, restored.name)) == (before, live_oid, restored.oid)
    day.system.source.connect(shop).close()


@pytest.mark.seeded(2)
@pytest.mark.parametrize("step", ["_carry_over", "_close", "_exchange"])
@pytest.mark.parametrize("then", ["go on", "give back"])
def test_a_kill_at_any_step_is_gone_on_with_or_given_back(day, shop, restored, monkeypatch, step, then):
    live_oid, request = oid(day, shop), day.request()

    class KilledError(BaseException):
        pass

    work = getattr(module, step)

    def dies(*args, **options):
        work(*args, **options)
        raise KilledError

    with monkeypatch.context() as patch, day.restore(request) as restore, day.ports() as ports:
        patch.setattr(module, step, dies)
        patch.setattr(module, "give_back", lambda *_args, **_options: None)  # the dead give nothing back
        with pytest.raises(KilledError):
            exchange(day, restore, ports, restored, shop)

    with day.restore(request) as restore, day.ports() as ports:
        if then == "go on":
            places = exchange(day, restore, ports, restored, shop)
            assert (oid(day, shop), oid(day, places.old_name)) == (restored.oid, live_oid)
            assert restore.journal.last(EXCHANGE).event in ("done", "intended")
            open_to_the_application(ports, restore.journal)
        else:
            assert give_back(ports, restore.journal)
            assert (oid(day, shop), oid(day, restored.name)) == (live_oid, restored.oid)
            assert not give_back(ports, restore.journal), "a second look finds nothing to do"
    day.system.source.connect(shop).close()


def test_given_back_after_the_exchange_everything_is_as_it_was(day, shop, restored):
    before, live_oid = facts(day, shop), oid(day, shop)
    with day.restore() as restore, day.ports() as ports:
        exchange(day, restore, ports, restored, shop)
        assert give_back(ports, restore.journal)
        assert exchange(day, restore, ports, restored, shop).old_name != shop, "and again from the beginning"
        assert give_back(ports, restore.journal)
    assert (facts(day, shop), oid(day, shop)) == (before, live_oid)


def test_an_unproven_database_takes_nobodys_place(day, shop, restored):
    from dataclasses import replace

    damaged = replace(restored, differences=("agents has another content.",))
    with day.restore() as restore, day.ports() as ports, pytest.raises(InputError, match="not proven"):
        exchange(day, restore, ports, damaged, shop)
    day.system.source.connect(shop).close()


def test_the_restored_database_is_known_by_its_oid(day, shop, restored):
    day.drop(restored.name)
    with day.system.source.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {restored.name}")
    with (
        day.restore() as restore,
        day.ports() as ports,
        pytest.raises(InputError, match="not the one that was restored"),
    ):
        exchange(day, restore, ports, restored, shop)


def test_a_long_name_is_cut_to_what_postgresql_takes():
    name = module.old_name_of("ä" * 31, "20261129_020000")
    assert len(name.encode()) <= 63
    assert name.endswith("_old_20261129_020000")

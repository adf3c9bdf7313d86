"""The replaced database stays until it may go, and only that one goes."""

from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError
from tdev_operators.core.recovery.drop_replaced import DROP, DropReplaced, all_replaced
from tdev_operators.core.recovery.take_place import EXCHANGE, OPEN, Places

OLD = "t_developer_old_20261101_020000"


@pytest.fixture
def replaced(day):
    """A restore whose journal says that it replaced the live database; returns its id."""
    with day.system.source.connect("postgres") as server:
        server.execute(f"CREATE DATABASE {OLD}")
        (oid,) = server.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", (OLD,)).fetchone()
    with day.restore() as restore:
        restore.journal.note(EXCHANGE, "done", **asdict(Places("t_developer", oid, "new", 1, OLD)))
        restore.journal.note(OPEN, "done", database="t_developer")
        return restore.request.recovery_id


@contextmanager
def dropping(day, recovery_id, *, days=8, proven_later=True):
    """The drop, so many days later; with a PROVEN set that was taken in between, or without."""
    with day.ports(clock=lambda: datetime.now(UTC) + timedelta(days=days)) as ports:
        drop = DropReplaced(ports, day.settings, recovery_id)
        if proven_later:
            drop.replaced = drop.replaced.__class__(
                drop.replaced.recovery_id, drop.replaced.places, drop.replaced.since - timedelta(hours=4), dropped=False
            )
        yield drop


def there(day):
    return OLD in day.names()


def test_it_is_dropped_once_and_the_journal_says_by_whom(day, replaced):
    with dropping(day, replaced) as drop:
        assert "there is no way back" in drop.refuse_too_early()[0]
        assert drop.drop(["deputy"], "lead")
        assert drop.journal.last(DROP).event == "done"
    assert not there(day)
    with dropping(day, replaced) as drop:
        assert not drop.drop(["deputy"], "lead")
    with day.ports() as ports:
        assert {one.recovery_id: one.dropped for one in all_replaced(ports, day.settings)}[replaced]


@pytest.mark.parametrize(
    ("facts", "says"),
    [({"days": 6}, "stays until"), ({"proven_later": False}, r"No set that was taken after the exchange .* is PROVEN")],
)
def test_it_stays_until_it_may_go(day, replaced, facts, says):
    with dropping(day, replaced, **facts) as drop, pytest.raises(InputError, match=says):
        drop.drop(["deputy"], "lead")
    assert there(day)


@pytest.mark.parametrize("people", [[], ["lead"], ["somebody"]])
def test_it_needs_another_persons_approval(day, replaced, people):
    with dropping(day, replaced) as drop, pytest.raises(AccessDeniedError, match="needs 1 approval"):
        drop.drop(people, "lead")
    assert there(day)


def test_another_database_of_that_name_is_not_dropped(day, replaced):
    with day.system.source.connect("postgres") as server:
        server.execute(f"DROP DATABASE {OLD}")
        server.execute(f"CREATE DATABASE {OLD}")
    with dropping(day, replaced) as drop, pytest.raises(InputError, match="is not the one that was replaced"):
        drop.drop(["deputy"], "lead")
    assert there(day)


def test_somebody_who_is_connected_keeps_it(day, replaced):
    with day.system.source.connect(OLD), dropping(day, replaced) as drop, pytest.raises(BusyError, match="1 session"):
        drop.drop(["deputy"], "lead")
    assert there(day)


def test_a_try_that_died_behind_the_drop_is_finished(day, replaced):
    with dropping(day, replaced) as drop:
        drop.journal.note(DROP, "intended", name=OLD, oid=drop.replaced.places.live_oid, by=["deputy"])
    with day.system.source.connect("postgres") as server:
        server.execute(f"DROP DATABASE {OLD}")
    with dropping(day, replaced) as drop:
        assert drop.drop(["deputy"], "lead")
        assert drop.journal.last(DROP).event == "done"


def test_a_restore_that_replaced_nothing_has_nothing_to_drop(day):
    with day.restore() as restore, pytest.raises(InputError, match="replaced no database"):
        DropReplaced(restore.ports, day.settings, restore.request.recovery_id)

"""What the tests of the database checks share."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

# Counters reach the views when the session flushes them.
FLUSH = "SELECT pg_stat_force_next_flush()"


@dataclass
class Patched:
    """A real database of which some answers say something else: `{"rows of": {column: value}}` by the SQL's words."""

    database: Any
    patches: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return self.database.name

    def rows(self, statement: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        rows = self.database.rows(statement, params)
        for words, values in self.patches.items():
            if words in statement:
                rows = [{**row, **values} for row in rows]
        return rows


@pytest.fixture
def patched() -> Callable[..., Patched]:
    """Return a maker of databases with some answers changed."""
    return Patched


@pytest.fixture
def flush() -> str:
    """Return the statement after which counters can be seen."""
    return FLUSH


@pytest.fixture
def blocked():
    """Return a context manager that runs a statement in a thread, where it waits for another session."""

    @contextmanager
    def run(arena, statement, release):
        def work():
            with arena.connect() as connection:
                connection.execute(statement)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield thread
        finally:
            release()
            thread.join(30)
            assert not thread.is_alive()

    return run


@pytest.fixture
def until():
    """Return a function that waits until a condition holds."""

    def wait(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        pause, waited = threading.Event(), 0.0
        while waited < seconds:
            if found := condition():
                return found
            pause.wait(0.05)
            waited += 0.05
        raise AssertionError("it did not come about")

    return wait


@pytest.fixture
def under_way():
    """Return a function that sends a statement over a connection of its own, and does not wait for its end."""
    with ExitStack() as connections:

        def send(arena, statement, *settings, **keywords):
            connection = connections.enter_context(closing(arena.connect(**keywords)))
            for setting in settings:
                connection.execute(setting)
            connection.pgconn.send_query(statement.encode())
            connections.callback(connection.cancel_safe)
            return connection.info.backend_pid

        yield send


@pytest.fixture
def slow_vacuum(under_way, until):
    """Return a function that starts a VACUUM which takes minutes, and returns its pid when it is at work."""

    def start(arena, table):
        slow = ("SET vacuum_cost_limit = 1", "SET vacuum_cost_delay = 100")
        pid = under_way(arena, f"VACUUM {table}", *slow)
        until(lambda: arena.look.rows(f"SELECT 1 FROM pg_stat_progress_vacuum WHERE pid = {pid} AND relid <> 0"))
        return pid

    return start


@pytest.fixture
def waiters(under_way, until):
    """Return a function that starts a statement so many times and returns the pids when each of them waits."""

    def start(arena, statement, number=1):
        pids = [under_way(arena, statement) for _ in range(number)]
        waiting = f"SELECT 1 FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL AND pid = ANY (ARRAY{pids})"
        until(lambda: len(arena.look.rows(waiting)) == number)
        return pids

    return start

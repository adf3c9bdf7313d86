"""A real database that is cared for: as a member of its owner does, and as everybody else uses it."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.records import facts_of


@pytest.fixture
def source(database: dict[str, Any]) -> PostgresSource:
    """The product's way into the fresh database, as superuser."""
    return PostgresSource(facts_of(database))


@pytest.fixture
def sql(database: dict[str, Any]) -> Iterator[psycopg.Connection]:
    """Somebody else's session in the same database, in autocommit."""
    with psycopg.connect(**database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def elsewhere(database: dict[str, Any]) -> Iterator[Callable[[], psycopg.Connection]]:
    """Return a maker of further sessions, in autocommit; all are closed after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(**database, autocommit=True))


@pytest.fixture
def modern_database(debian: Cluster) -> Iterator[dict[str, Any]]:
    """Return the conninfo of a fresh database on Debian's PostgreSQL, which has contrib."""
    name = f"test_{secrets.token_hex(6)}"
    debian.create_database(name)
    yield debian.conninfo(name)
    debian.drop_database(name)


@pytest.fixture
def changed() -> Callable[..., Settings]:
    """Return a maker of the shipped settings with some figures changed: `changed(care={"workers": 1})`."""

    def change(**sections: Mapping[str, Any]) -> Settings:
        data = load_settings().model_dump()
        for section, values in sections.items():
            data[section] = merged(data[section], values)
        return Settings.model_validate(data)

    return change


def merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with some keys replaced, tables inside it key by key."""
    both = {key: merged(base[key], value) for key, value in values.items() if isinstance(value, Mapping)}
    return {**base, **values, **both}

"""A real database that is cared for: as its owner does, and as the product does."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.records import facts_of


@pytest.fixture
def source(database: dict[str, Any]) -> PostgresSource:
    """The product's way into the fresh database."""
    return PostgresSource(facts_of(database))


@pytest.fixture
def sql(database: dict[str, Any]) -> Iterator[psycopg.Connection]:
    """Somebody else's session in the same database, in autocommit."""
    with psycopg.connect(**database, autocommit=True) as connection:
        yield connection

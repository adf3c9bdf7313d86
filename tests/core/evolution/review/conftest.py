"""T-Developer's tables with made-up generations, reviewed by a role that may only read."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.evolution.review.reading import Review
from tdev_operators.core.ledger import Sample
from tdev_operators.core.ports import SystemPorts, utc_now
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres import PostgresDatabase
from tests.analysed import MemoryLedger, shipped

_REVIEWER = "evolution_reviewer"
_SCHEMA = Path(__file__).resolve().parents[4] / "sandbox" / "schema.sql"
_AGENTS = 10


@dataclass
class Reviewed:
    """A system that is reviewed. `tell` makes up its history; everything in it can be seen by hand."""

    conninfo: dict[str, Any]
    database: PostgresDatabase
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    limits: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=utc_now)

    def run(self, statement: str, params: Any = None) -> None:
        with psycopg.connect(**self.conninfo, autocommit=True) as connection:
            connection.execute(statement, params)  # type: ignore[call-overload]

    def tell(
        self,
        days: float = 15,
        *,
        fitness: str = "0.6",
        seconds: str = "60",
        every: str = "true",
        mutations: str = "'{}'::text[]",
        met: str = "true",
    ) -> None:
        """Make a generation an hour of ten evaluations each; expressions over `g` (number), `n` (of all), `i` (agent).

        `h` is how many hours ago a generation began, half an hour at least.
        """
        n = round(days * 24)
        self.run(
            f"""
            INSERT INTO evolution_history
                (id, agent_id, generation, mutations, fitness_score, constraints_met, timestamp)
            SELECT gen_random_uuid(), agent, g, {mutations}, least(1, greatest(0, {fitness})), {met},
                   now() - h * interval '1 hour' + i * ({seconds}) / 9.0 * interval '1 second'
            FROM (SELECT g, n, n - g + 0.5 AS h FROM (SELECT {n} AS n) AS a, generate_series(1, {n}) AS g) AS b
            CROSS JOIN (SELECT id AS agent, (right(name, 1))::int AS i FROM agents) AS c
            WHERE {every}
            """
        )

    def review(self) -> Review:
        """Return a review of now."""
        system = SystemPorts(self.database, *[None] * 5)  # type: ignore[arg-type]
        settings = shipped()
        rules = settings.evolution.review.model_copy(update=self.limits)
        evolution = settings.evolution.model_copy(update={"review": rules})
        return Review(system, settings.model_copy(update={"evolution": evolution}), self.ledger, self.at)

    def keep(self, kind: str, at: datetime, facts: dict[str, Any]) -> None:
        self.ledger.keep_sample("t-developer", kind, Sample(at, facts))


@pytest.fixture
def reviewed(cluster: Cluster, database: dict[str, Any]) -> Reviewed:
    """Return a system with ten agents and no history."""
    with cluster.connect() as connection:
        known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (_REVIEWER,)).fetchone()
    if known is None:
        cluster.create_role(_REVIEWER, member_of=("pg_read_all_data",))
    with psycopg.connect(**database, autocommit=True) as connection:
        connection.execute(_SCHEMA.read_bytes())
        connection.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO {_REVIEWER}")  # type: ignore[arg-type]
        connection.execute(
            "INSERT INTO agents (id, name, version, size_kb, instantiation_us, fitness_score) "
            "SELECT gen_random_uuid(), 'agent_' || i, '1', 4, 2, 0.5 FROM generate_series(0, %s) AS i",
            (_AGENTS - 1,),
        )
    info = cluster.conninfo(database["dbname"], user=_REVIEWER)
    facts = ConnectionFacts(
        "tdev_postgres", "postgres", info["host"], info["port"], info["user"], info["password"], database["dbname"]
    )
    return Reviewed(database, PostgresDatabase(facts))

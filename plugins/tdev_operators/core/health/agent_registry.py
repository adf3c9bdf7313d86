"""The agents as the database registers them, and the keys of their sources in the bucket."""

from dataclasses import dataclass

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered agent. `size_kb` and `instantiation_us` are None where they were never measured."""

    label: str
    source_key: str
    size_kb: float | None
    instantiation_us: float | None


def registered_agents(system: SystemPorts, settings: Settings) -> list[Agent]:
    """Return all registered agents, by name and version.

    Raises:
        AccessDeniedError: row security hides some of them; and what `Database.rows` raises.
    """
    rows = system.database.rows(load_sql("health/agents"))
    if rows and rows[0]["rows_hidden"]:
        raise AccessDeniedError("Row security hides rows of agents; give our role BYPASSRLS.")
    pattern = settings.health.agents.source_key
    return [
        Agent(
            label=f"{row['name']} {row['version']}",
            source_key=pattern.replace("{version}", row["version"]).replace("{name}", row["name"]),
            size_kb=row["size_kb"],
            instantiation_us=row["instantiation_us"],
        )
        for row in rows
    ]

"""What the database server says of itself: version, role, how old its statistics are, what our role may see."""

from dataclasses import dataclass
from typing import Self

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ports import Database
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql


@dataclass(frozen=True, slots=True)
class ServerState:
    """One look at the server; `statistics_hours` is how long its cumulative counters have been counting."""

    name: str
    version: str
    in_recovery: bool
    uptime_seconds: float
    statistics_hours: float
    tracks_counts: bool
    autovacuum: bool
    sees_all_sessions: bool

    @classmethod
    def of(cls, database: Database) -> Self:
        """Ask the server; raises what `Database.rows` raises."""
        return cls(name=database.name, **database.rows(load_sql("health/server_state"))[0])

    @property
    def tool(self) -> str:
        """Name and version, for a result's coverage."""
        return f"PostgreSQL {self.version}"

    def require_all_sessions(self) -> None:
        """Refuse to judge sessions of which our role sees only its own.

        Raises:
            AccessDeniedError: our role lacks pg_read_all_stats.
        """
        if not self.sees_all_sessions:
            raise AccessDeniedError(f"Our role on {self.name} sees only its own sessions; grant it pg_monitor.")

    def note_young_statistics(self, findings: Findings, settings: Settings) -> None:
        """Keep a result that rests on the server's counters from being OK while they have not counted long."""
        needed = settings.health.database.minimum_statistics_age_hours
        if self.statistics_hours < needed:
            findings.skip(
                "statistics",
                f"the counters of {self.name} were reset {self.statistics_hours:.1f} h ago (by hand or by a crash); "
                f"{needed:g} h are needed",
            )

    def note_standby(self, findings: Findings) -> bool:
        """Say that a standby keeps no table statistics, and whether this server is one."""
        if self.in_recovery:
            findings.skip(
                "table statistics",
                f"{self.name} is a standby and these live on its primary; let tdev_postgres name the primary, "
                "or put this check out of scope",
            )
        return self.in_recovery

"""Two limits that are easily taken for one: the application's clients, and the database's connections. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "tuning.pools"


@dataclass(frozen=True, slots=True)
class Pools:
    """How many clients are let in, through how many pooled connections, into a database of how many."""

    clients: int  # the application's max_connections, of one instance
    pool: int  # connection_pool_size, of one instance
    instances: int
    others: int  # connections that are not the application's
    reserved: int  # superuser_reserved_connections and reserved_connections
    database: int  # PostgreSQL's max_connections

    @property
    def needed(self) -> int:
        """How many connections the database must have."""
        return self.pool * self.instances + self.others + self.reserved


def judge(pools: Pools, *, asked: bool, recommended: int | None = None) -> CheckResult:
    """Say whether the application's clients fit through its pools into the database.

    `asked`: the application's figures are what it said itself, not what the settings recommend. `recommended` is the
    database's limit of the settings: it has to hold them too.
    """
    clients = pools.clients * pools.instances
    said = (
        f"The application lets {pools.clients} clients in (its max_connections) and pools them into {pools.pool} "
        f"connections of the database (connection_pool_size), times {pools.instances}; the database has "
        f"{pools.database} (PostgreSQL's max_connections), and {pools.needed} are needed with {pools.others} for "
        f"others and {pools.reserved} reserved."
    )
    measurements = (
        Measurement("clients of the application", clients),
        Measurement("connections needed", pools.needed, "", pools.database + 1, pools.database + 1),
        Measurement("connections of the database", pools.database),
        Measurement("clients a pooled connection", round(clients / max(pools.pool * pools.instances, 1), 1)),
    )
    skipped = {} if asked else {"the application's figures": "it did not tell them; those of the settings were taken"}
    verdict, hint = Verdict.OK, ""
    if pools.needed > pools.database:
        verdict = Verdict.CRITICAL
        hint = (
            "Lower connection_pool_size, or put a pooler in between; raise the database's max_connections only when "
            "memory allows it (each may take work_mem several times)."
        )
        said += f" {pools.needed - pools.database} clients will be refused under load."
    elif recommended is not None and pools.needed > recommended:
        verdict = Verdict.WARNING
        hint = "Raise max_connections in [tuning.database], or lower connection_pool_size."
        said += f" The recommended max_connections of {recommended} would be too few."
    elif pools.clients < pools.pool:
        verdict = Verdict.WARNING
        hint = "Lower connection_pool_size: connections beyond the number of clients are never used."
        said += " The pool is larger than the number of clients that it serves."
    coverage = Coverage(seen=("max_connections", "connection_pool_size"), skipped=skipped)
    return CheckResult(CHECK, verdict, said, measurements, hint, coverage)


def figure(values: Mapping[str, object], key: str) -> int | None:
    """Return a whole number of a configuration; None when it has none."""
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None

"""What `tdev init` makes in Airflow: pools and roles, by Airflow's own command line."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tdev_operators.core.commands import run
from tdev_operators.core.errors import SetupMissingError

# name: (slots, what they keep apart)
POOLS: Mapping[str, tuple[int, str]] = {
    "tdev_checks": (4, "Maintenance checks: light, many at once"),
}
# Everybody has Airflow's role Viewer, and these add rights DAG by DAG: the stock roles User and Op may trigger
# every DAG, whatever a DAG's own access_control says.
ROLES: Mapping[str, str] = {
    "engineer": "may start the maintenance tiers by hand",
    "team_lead": "may also start recovery drills and approve",
}
_SECONDS = 120.0


def ensure_pools(environment: Mapping[str, str]) -> str:
    """Create or resize the pools in which our tasks run, and look that they are there.

    Raises:
        SetupMissingError: Airflow's command line failed; the message holds its last line.
    """
    pools = {
        name: {"slots": slots, "description": text, "include_deferred": False} for name, (slots, text) in POOLS.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pools.json"
        file.write_text(json.dumps(pools), encoding="utf-8")
        _airflow("pools", "import", str(file), environment=environment)
    listed = {pool["pool"] for pool in json.loads(_airflow("pools", "list", "-o", "json", environment=environment))}
    if missing := sorted(set(POOLS) - listed):
        raise SetupMissingError(f"Airflow took the pools but does not list {', '.join(missing)}; look at its log.")
    return ", ".join(f"{name} ({slots} slots)" for name, (slots, _) in POOLS.items())


def ensure_roles(environment: Mapping[str, str]) -> str:
    """Create the roles that the DAGs grant rights to; those that exist stay as they are.

    Raises:
        SetupMissingError: Airflow's command line failed; the message holds its last line.
    """
    from airflow.sdk.configuration import conf  # noqa: PLC0415  three seconds that only `tdev init` should pay

    if not str(conf.get("core", "auth_manager", fallback="")).endswith("FabAuthManager"):
        return "none: this auth manager has no roles of ours, so everybody who may trigger a DAG may trigger these"
    _airflow("roles", "create", *ROLES, environment=environment)
    return ", ".join(f"{name} ({what})" for name, what in ROLES.items())


def _airflow(*argv: str, environment: Mapping[str, str]) -> str:
    output = run(["airflow", *argv], timeout_seconds=_SECONDS, env=dict(environment))
    if output.exit_status != 0:
        lines = (output.stderr or output.stdout).strip().splitlines() or ["it said nothing"]
        raise SetupMissingError(f"`airflow {argv[0]} {argv[1]}` failed ({lines[-1]}); run `airflow db migrate` first.")
    return output.stdout

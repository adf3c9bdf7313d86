"""What `tdev init` makes in Airflow: pools and roles, by Airflow's own command line."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.hooks.airflow_commands import airflow_says

# name: (slots, what they keep apart)
POOLS: Mapping[str, tuple[int, str]] = {
    "tdev_checks": (4, "Maintenance checks: light, many at once"),
    "tdev_backups": (1, "Back-ups and their proof: heavy on database and disk, one at a time"),
}
# Everybody has Airflow's role Viewer, and these add rights DAG by DAG: the stock roles User and Op may trigger
# every DAG, whatever a DAG's own access_control says.
ROLES: Mapping[str, str] = {
    "engineer": "may start the maintenance tiers by hand",
    "team_lead": "may also start recovery drills and approve",
}
# Beyond a DAG's own rights: answering what an approval asks.
RIGHTS: Mapping[str, tuple[str, str]] = {"team_lead": ("can_edit", "HITL Detail")}


def ensure_airflow(environment: Mapping[str, str]) -> str:
    """Create the pools of our tasks and the roles that the DAGs grant rights to, and look that they are there.

    A pool that exists keeps its size, a role its rights. Only FAB has roles.

    Raises:
        SetupMissingError: Airflow's command line failed, or something is missing all the same.
    """
    from airflow.sdk.configuration import conf  # noqa: PLC0415  three seconds that only `tdev init` should pay

    has_roles = str(conf.get("core", "auth_manager", fallback="")).endswith("FabAuthManager")
    pools, roles = _missing(environment, has_roles=has_roles)
    if pools or roles:
        refused = ""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pools.json"
            file.write_text(json.dumps({name: _pool(*POOLS[name]) for name in pools}), encoding="utf-8")
            commands = [["pools", "import", str(file)]] if pools else []
            commands += [["roles", "create", *roles]] if roles else []
            commands += [
                ["roles", "add-perms", role, "-a", action, "-r", resource]
                for role, (action, resource) in RIGHTS.items()
                if role in roles
            ]
            try:
                airflow_says(commands, environment)
            except SetupMissingError as error:
                refused = str(error)  # somebody else may have made them this very moment
        if missing := [name for names in _missing(environment, has_roles=has_roles) for name in names]:
            raise SetupMissingError(refused or f"Airflow took {', '.join(missing)} and does not list them.")
    told = [f"{name} ({slots} {'slot' if slots == 1 else 'slots'})" for name, (slots, _) in POOLS.items()]
    if not has_roles:
        return f"pools {', '.join(told)}; no roles: who may trigger one DAG may trigger all"
    return f"pools {', '.join(told)}; roles {', '.join(f'{name} ({what})' for name, what in ROLES.items())}"


def _pool(slots: int, description: str) -> dict[str, object]:
    return {"slots": slots, "description": description, "include_deferred": False}


def _missing(environment: Mapping[str, str], *, has_roles: bool) -> tuple[list[str], list[str]]:
    """Return the pools and the roles that are not there."""
    asked = ["pools", "roles"] if has_roles else ["pools"]
    printed = airflow_says([[what, "list", "-o", "json"] for what in asked], environment)
    pools = {pool["pool"] for pool in _listed(printed[0])}
    roles = {role["name"] for role in _listed(printed[1])} if has_roles else set(ROLES)
    return sorted(set(POOLS) - pools), sorted(set(ROLES) - roles)


def _listed(printed: str) -> list[dict[str, str]]:
    # Airflow's own log lines may stand before the answer, which is one line.
    answers = [line for line in printed.splitlines() if line.startswith("[")]
    listed: list[dict[str, str]] = json.loads(answers[-1]) if answers else []
    return listed

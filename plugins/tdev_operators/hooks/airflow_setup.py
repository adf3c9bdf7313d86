"""What `tdev init` makes in Airflow: pools and roles, by Airflow's own command line."""

import json
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tdev_operators.core.commands import run
from tdev_operators.core.errors import SetupMissingError

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
_SECONDS = 120.0
_TRIES = 4


def ensure_pools(environment: Mapping[str, str]) -> str:
    """Create the pools in which our tasks run, and look that they are there; one that exists keeps its size.

    Raises:
        SetupMissingError: Airflow's command line failed, or a pool is missing all the same.
    """
    missing = _missing_pools(environment)
    if missing:
        pools = {name: _pool(*POOLS[name]) for name in missing}
        refused = ""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pools.json"
            file.write_text(json.dumps(pools), encoding="utf-8")
            try:
                _airflow("pools", "import", str(file), environment=environment)
            except SetupMissingError as error:
                refused = str(error)  # somebody else may have made them this very moment
        if missing := _missing_pools(environment):
            raise SetupMissingError(refused or f"Airflow took the pools {', '.join(missing)} and does not list them.")
    return ", ".join(f"{name} ({slots} {'slot' if slots == 1 else 'slots'})" for name, (slots, _) in POOLS.items())


def ensure_roles(environment: Mapping[str, str]) -> str:
    """Create the roles that the DAGs grant rights to; those that exist stay as they are.

    Raises:
        SetupMissingError: Airflow's command line failed; the message holds its last line.
    """
    from airflow.sdk.configuration import conf  # noqa: PLC0415  three seconds that only `tdev init` should pay

    if not str(conf.get("core", "auth_manager", fallback="")).endswith("FabAuthManager"):
        return "none: this auth manager has no roles of ours, so everybody who may trigger a DAG may trigger these"
    missing = _missing_roles(environment)
    if missing:
        refused = ""
        try:
            _airflow("roles", "create", *missing, environment=environment)
        except SetupMissingError as error:
            refused = str(error)
        if missing := _missing_roles(environment):
            raise SetupMissingError(refused or f"Airflow took the roles {', '.join(missing)} and does not list them.")
    return ", ".join(f"{name} ({what})" for name, what in ROLES.items())


def _pool(slots: int, description: str) -> dict[str, object]:
    return {"slots": slots, "description": description, "include_deferred": False}


def _missing_pools(environment: Mapping[str, str]) -> list[str]:
    listed = _airflow_list("pools", environment)
    return sorted(set(POOLS) - {pool["pool"] for pool in listed})


def _missing_roles(environment: Mapping[str, str]) -> list[str]:
    listed = _airflow_list("roles", environment)
    return sorted(set(ROLES) - {role["name"] for role in listed})


def _airflow_list(what: str, environment: Mapping[str, str]) -> list[dict[str, str]]:
    printed = _airflow(what, "list", "-o", "json", environment=environment)
    # Airflow's own log lines may stand before the answer, which is one line.
    answers = [line for line in printed.splitlines() if line.startswith("[")]
    listed: list[dict[str, str]] = json.loads(answers[-1]) if answers else []
    return listed


def _airflow(*argv: str, environment: Mapping[str, str]) -> str:
    # Each start of Airflow's command line, and of its API server, brings the permissions in its database up to date;
    # of two that do it at once one ends with a duplicate key. The next try finds them there.
    for attempt in range(_TRIES):
        output = run(["airflow", *argv], timeout_seconds=_SECONDS, env=dict(environment))
        if output.exit_status == 0 or "UniqueViolation" not in output.stderr + output.stdout:
            break
        time.sleep(random.uniform(0, 2 * (attempt + 1)))  # noqa: S311 - so that two do not meet again
    if output.exit_status != 0:
        lines = [line for line in (output.stderr or output.stdout).splitlines() if line and "sqlalche.me" not in line]
        last = lines[-1].strip() if lines else "it said nothing"
        raise SetupMissingError(f"`airflow {argv[0]} {argv[1]}` failed ({last}); run `airflow db migrate` first.")
    return output.stdout

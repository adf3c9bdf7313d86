"""What `tdev init` makes in Airflow: pools and roles, by Airflow's own command line.

Each start of that takes many seconds, so one process says everything: `python -m tdev_operators.hooks.airflow_setup`.
"""

import contextlib
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

from tdev_operators.core.commands import run
from tdev_operators.core.errors import SetupMissingError

# name: (slots, what they keep apart)
POOLS: Mapping[str, tuple[int, str]] = {
    "tdev_checks": (4, "Maintenance checks: light, many at once"),
    "tdev_care": (1, "Care of the database: vacuum, indexes, retention, one at a time"),
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

PROGRAM = (sys.executable, "-m", "tdev_operators.hooks.airflow_setup")

_SECONDS = 240.0
_TRIES = 4


def ensure_airflow(environment: Mapping[str, str]) -> str:
    """Create the pools of our tasks and the roles that the DAGs grant rights to, and look that they are there.

    A pool that exists keeps its size, a role keeps the rights that it has beyond ours. Only FAB has roles.

    Raises:
        SetupMissingError: Airflow's command line failed, or something is missing all the same.
    """
    # Each start of Airflow's command line, and of its API server, brings the permissions in its database up to date;
    # of two that do it at once one ends with a duplicate key. The next try finds them there.
    for attempt in range(_TRIES):
        output = run(PROGRAM, timeout_seconds=_SECONDS, env=dict(environment))
        if output.exit_status == 0:
            return output.stdout.splitlines()[-1]
        if "UniqueViolation" not in output.stderr:
            break
        time.sleep(random.uniform(0, 2 * (attempt + 1)))  # noqa: S311 - so that two do not meet again
    lines = [line for line in output.stderr.splitlines() if line and "sqlalche.me" not in line]
    last = lines[-1].strip() if lines else "it said nothing"
    raise SetupMissingError(f"Airflow's command line failed ({last}); run `airflow db migrate` first.")


def _missing(airflow: Callable[..., str], *, has_roles: bool) -> tuple[list[str], list[str], list[str]]:
    """Return the pools, the roles and the roles' rights that are not there."""
    pools = {pool["pool"] for pool in _listed(airflow("pools", "list", "-o", "json"))}
    if not has_roles:
        return sorted(POOLS.keys() - pools), [], []
    roles = {role["name"] for role in _listed(airflow("roles", "list", "-o", "json"))}
    granted = {
        (role["name"], (action, role["resource"]))
        for role in _listed(airflow("roles", "list", "--permission", "-o", "json"))
        for action in role["action"].split(",")
    }
    rights = [name for name, right in RIGHTS.items() if (name, right) not in granted]
    return sorted(POOLS.keys() - pools), sorted(ROLES.keys() - roles), rights


def _listed(printed: str) -> list[dict[str, str]]:
    # Airflow's own log lines may stand before the answer, which is one line.
    answers = [line for line in printed.splitlines() if line.startswith("[{") or line == "[]"]
    listed: list[dict[str, str]] = json.loads(answers[-1]) if answers else []
    return listed


def _make(airflow: Callable[..., str], pools: list[str], roles: list[str], rights: list[str]) -> None:
    if pools:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(
                {
                    name: {"slots": slots, "description": what, "include_deferred": False}
                    for name, (slots, what) in POOLS.items()
                    if name in pools
                },
                file,
            )
            file.flush()
            airflow("pools", "import", file.name)
    if roles:
        airflow("roles", "create", *roles)
    for role in rights:
        action, resource = RIGHTS[role]
        airflow("roles", "add-perms", role, "-a", action, "-r", resource)


def _main() -> int:
    """Make what is missing and print, as the last line, what is there."""
    from airflow.cli import cli_parser  # noqa: PLC0415  seconds that only the program should pay
    from airflow.sdk.configuration import conf  # noqa: PLC0415

    parser = cli_parser.get_parser()

    def airflow(*words: str) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                arguments = parser.parse_args(words)
                arguments.func(arguments)
            except SystemExit as ended:
                if ended.code:
                    said = ended.code if isinstance(ended.code, str) else printed.getvalue()
                    raise SetupMissingError(f"`airflow {' '.join(words[:2])}`: {said.strip()}") from None
        return printed.getvalue()

    has_roles = str(conf.get("core", "auth_manager", fallback="")).endswith("FabAuthManager")
    try:
        _make(airflow, *_missing(airflow, has_roles=has_roles))
        missing = [name for names in _missing(airflow, has_roles=has_roles) for name in names]
    except SetupMissingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if missing:
        sys.stderr.write(f"it took {', '.join(missing)} and does not list them\n")
        return 1
    pools = ", ".join(f"{name} ({slots} {'slot' if slots == 1 else 'slots'})" for name, (slots, _) in POOLS.items())
    roles = ", ".join(f"{name} ({what})" for name, what in ROLES.items())
    told = f"roles {roles}" if has_roles else "no roles: who may trigger one DAG may trigger all"
    sys.stdout.write(f"pools {pools}; {told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""Makes the sandbox's Airflow users. A module of its own because it runs inside Airflow's environment.

`airflow users create` takes a password in argv, where every process of the machine can read it; this takes it from the
environment.
"""

import json
import os

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder


def main() -> None:
    """Create the users that `SANDBOX_USERS` lists as JSON: [[name, password, [role, ...]], ...]; print their ids."""
    with get_application_builder() as builder:
        manager = builder.sm
        for name, password, roles in json.loads(os.environ["SANDBOX_USERS"]):
            if manager.find_user(username=name):
                continue
            found = [manager.find_role(role) for role in roles]
            if None in found:
                raise SystemExit(f"One of the roles {roles} is missing; run `tdev init` first.")
            manager.add_user(name, name.title(), "Sandbox", f"{name}@localhost", found, password)
        names = [name for name, *_ in json.loads(os.environ["SANDBOX_USERS"])]
        print(json.dumps({name: str(manager.find_user(username=name).id) for name in names}))


if __name__ == "__main__":
    main()

"""A real Airflow on the sandbox: its four components as separate processes, metadata in PostgreSQL, FAB for users.

Separate processes, shared keys and an execution API over HTTP: the shape of a deployment on many machines.
"""

import base64
import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from sandbox.postgres import Cluster
from sandbox.processes import LOOPBACK, REPOSITORY, SandboxError, Supervisor, answers_at, free_port
from sandbox.settings_file import LEADS, change_settings

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
USERS: Mapping[str, tuple[str, ...]] = {
    "admin": ("Admin",),
    **dict.fromkeys(LEADS, ("Viewer", "team_lead")),
    "engineer": ("Viewer", "engineer"),
    "viewer": ("Viewer",),
}
_FINAL = ("success", "failed")


class Airflow:
    """The Airflow of the sandbox. `start()` returns when every component is healthy; passwords are in `passwords`."""

    def __init__(
        self,
        supervisor: Supervisor,
        control: Cluster,
        environment: Mapping[str, str],
        *,
        dags: Path = REPOSITORY / "dags",
        paused: bool = False,
        parallelism: int = 4,
    ) -> None:
        """`environment` holds the connections and settings of the maintained system; `dags` is the DAG folder."""
        self.supervisor = supervisor
        self.control = control
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.home = supervisor.home / "airflow"
        self.passwords = {name: secrets.token_urlsafe(12) for name in USERS}
        self._tokens: dict[str, str] = {}
        self._settings_file = Path(environment["TDEV_SETTINGS"])
        change_settings(self._settings_file, {"alerts": {"ui_base_url": self.url}})
        own = {"conn_type": "http", "host": self.url, "login": "admin", "password": self.passwords["admin"]}
        self.environment = {
            **environment,
            "AIRFLOW_CONN_TDEV_AIRFLOW": json.dumps(own),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(paused),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": str(parallelism),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": LOOPBACK,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_ISSUER": "tdev-sandbox",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            # Nobody edits these files while it runs; reading them over and over takes a tenth of a core.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._metadata_url(),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__TRACES__OTEL_ON": "False",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
        }

    def start(self) -> "Airflow":
        """Create the metadata, set the product up, start the components and wait until all are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.run("db-migrate", "airflow", "db", "migrate")
        self._spawn("api-server")  # needs a while to answer; everything else can be done meanwhile
        self.run("tdev-init", "tdev", "init")
        printed = self.run(
            "airflow-users",
            sys.executable,
            "-m",
            "sandbox.airflow_users",
            env={"SANDBOX_USERS": json.dumps([[name, self.passwords[name], roles] for name, roles in USERS.items()])},
        )
        numbers = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
        people = [{"username": name, "auth_id": numbers[name]} for name in LEADS]
        change_settings(self._settings_file, {"recovery": {"people": people}})
        for component in ("dag-processor", "scheduler", "triggerer"):
            self._spawn(component)
        self._wait_healthy()
        return self

    def run(self, name: str, *argv: str, env: Mapping[str, str] | None = None, seconds: float = 400.0) -> str:
        """Run one command to its end in Airflow's environment and return what it printed.

        Raises:
            SandboxError: it failed, with the end of its output.
        """
        log = self.supervisor.home / "logs" / f"{name}.log"
        child = self.supervisor.spawn(name, argv, env={**self.environment, **(env or {})}, log=log)
        status = child.process.wait(seconds)
        printed = log.read_text(encoding="utf-8", errors="replace")
        self.supervisor.stop(name)
        if status != 0:
            raise SandboxError(f"{name} ended with status {status}:\n{printed[-3000:]}")
        return printed

    def _spawn(self, component: str) -> None:
        self.supervisor.spawn(
            f"airflow-{component}",
            ["airflow", *COMPONENTS[component]],
            env=self.environment,
            ready=(lambda: answers_at(self.port)) if component == "api-server" else None,
            ready_seconds=120,
        )

    def stop_component(self, component: str) -> None:
        """Stop one of the components, as an operator of Airflow would."""
        self.supervisor.stop(f"airflow-{component}")

    def start_component(self, component: str) -> None:
        """Start a stopped component again and wait until everything is healthy."""
        self._spawn(component)
        self._wait_healthy()

    def _wait_healthy(self, seconds: float = 300.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            health = self._ask("GET", "/api/v2/monitor/health").json()
            if all(part.get("status") == "healthy" for part in health.values()):
                return
            if time.monotonic() > deadline:
                raise SandboxError(f"Airflow is not healthy after {seconds:g} s: {health}")
            time.sleep(0.5)

    def _metadata_url(self) -> str:
        facts = self.control.conninfo("airflow", user="airflow")
        return f"postgresql+psycopg2://airflow:{facts['password']}@{facts['host']}:{facts['port']}/airflow"

    def token(self, user: str = "admin") -> str:
        """Return an access token of one of the users."""
        if user not in self._tokens:
            login = {"username": user, "password": self.passwords[user]}
            answer = self._ask("POST", "/auth/token", json=login)
            answer.raise_for_status()
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]

    def api(self, method: str, path: str, *, user: str = "admin", **kwargs: Any) -> httpx.Response:
        """Call Airflow's public API (`path` below /api/v2) as one of the users."""
        headers = {"Authorization": f"Bearer {self.token(user)}"}
        return self._ask(method, f"/api/v2{path}", headers=headers, **kwargs)

    def _ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        # Without `verify` it reads the machine's whole list of authorities each time, and there is no TLS here.
        return httpx.request(method, f"{self.url}{path}", timeout=60, verify=False, **kwargs)

    def wait_for_dag(self, dag_id: str, *, seconds: float = 300.0) -> None:
        """Wait until a DAG is known, and fail with the import errors if it does not come."""
        deadline = time.monotonic() + seconds
        while self.api("GET", f"/dags/{dag_id}").status_code != httpx.codes.OK:
            if time.monotonic() > deadline:
                errors = self.api("GET", "/importErrors").json()
                raise SandboxError(f"{dag_id} did not appear: {errors}")
            time.sleep(0.5)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, user: str = "admin") -> str:
        """Start a run by hand and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        answer = self.api("POST", f"/dags/{dag_id}/dagRuns", user=user, json=body)
        if answer.status_code != httpx.codes.OK:
            raise SandboxError(f"{dag_id} was not started: {answer.status_code} {answer.text}")
        return str(answer.json()["dag_run_id"])

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float = 400.0) -> str:
        """Return the final state of a run: success or failed."""
        deadline = time.monotonic() + seconds
        while True:
            state = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}").json()["state"]
            if state in _FINAL:
                return str(state)
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"{dag_id} {run_id} is still {state} after {seconds:g} s: {self.states(dag_id, run_id)}"
                )
            time.sleep(0.5)

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of every task of a run."""
        answer = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 500}).json()
        return {task["task_id"]: task["state"] for task in answer["task_instances"]}

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return all runs of a DAG, oldest first."""
        answer = self.api("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 500, "order_by": "run_after"}).json()
        return list(answer["dag_runs"])

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.api("GET", path).json()["value"]

    def task_log(self, run_id: str, task_id: str) -> str:
        """Return the end of the logs that a task wrote in a run, for messages of failed tests."""
        files = sorted((self.home / "logs").glob(f"dag_id=*/run_id={run_id}/task_id={task_id}/*.log"))
        return "\n".join(file.read_text(encoding="utf-8", errors="replace")[-4000:] for file in files)

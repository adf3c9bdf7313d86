"""`make screenshots`: pictures of the running product, taken by headless Chromium (Debian's package `chromium`).

Starts the sandbox and Airflow, runs the health check when all is well and when the evolution is stalled, then a few
evenings of back-up and proof, then the database's care, a drill and a failover, the evolution's review and cure, and
writes PNG files into docs/pictures/.
"""

import base64
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from sandbox.airflow import Airflow
from sandbox.processes import REPOSITORY, SandboxError, Supervisor, end_on_signals, free_port
from sandbox.system import Sandbox

_FOLDER = REPOSITORY / "docs" / "pictures"
_DAG = "tdev_daily"
_SIZE = (1440, 900)
_ANSWER_SECONDS = 20.0  # Airflow 3.3.2 fails a task that is answered while the process that asked still ends
_EVENINGS = 4  # so that the plots have something to show
# Chromium asks its maker's servers for many things; a picture needs none of them.
_QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One page of a headless Chromium, driven through its debugging protocol."""

    def __init__(self, line: ClientConnection) -> None:
        """Attach to the page behind this debugging line."""
        self._line = line
        self._count = 0
        self.call("Page.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=_SIZE[0],
            height=_SIZE[1],
            deviceScaleFactor=1,
            mobile=False,
        )

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._count += 1
        self._line.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            answer = json.loads(self._line.recv(timeout=60))
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise SandboxError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page and return its value."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, url: str, *, until: str) -> None:
        """Go to an address and wait until a JavaScript expression is true."""
        self.call("Page.navigate", url=url)
        self.wait(until)

    def wait(self, until: str, seconds: float = 60.0) -> None:
        """Wait until a JavaScript expression is true, and a little for charts and fonts."""
        deadline = time.monotonic() + seconds
        while not self.run(f"!!({until})"):
            if time.monotonic() > deadline:
                raise SandboxError(f"{self.run('location.href')} did not show what it should: {until}")
            time.sleep(0.3)
        time.sleep(1.5)

    def picture(self, name: str) -> Path:
        """Write what the page shows to docs/pictures."""
        file = _FOLDER / f"{name}.png"
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return file


@contextmanager
def browser(supervisor: Supervisor) -> Iterator[Browser]:
    """Start Chromium below a supervisor and yield its page."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SandboxError("Chromium is missing; apt-get install chromium.")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tdev-browser-") as profile:
        argv = [program, *_QUIET, f"--remote-debugging-port={port}", f"--user-data-dir={profile}", "about:blank"]

        def pages() -> list[dict[str, str]]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
                    return [page for page in json.load(answer) if page["type"] == "page"]
            except OSError:
                return []

        supervisor.spawn("browser", argv, ready=lambda: bool(pages()), ready_seconds=60)
        try:
            with connect(pages()[0]["webSocketDebuggerUrl"], max_size=None) as line:
                yield Browser(line)
        finally:
            supervisor.stop("browser")


def log_in(page: Browser, airflow: Airflow, user: str = "admin") -> None:
    """Give the page the cookie that Airflow's login sets, and open the list of DAGs."""
    page.call("Network.setCookie", name="_token", value=airflow.token(user), url=airflow.url)
    page.open(f"{airflow.url}/dags", until=_shows(_DAG))


_CAN_TRIGGER = "[...document.querySelectorAll('button')].find(b => /^Trigger/.test(b.innerText || b.ariaLabel || ''))"


def _shows(text: str) -> str:
    return f"document.body.innerText.includes({json.dumps(text)})"


def take(system: Sandbox, airflow: Airflow) -> list[Path]:
    """Run the tier, well and broken, and take every picture."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    for what in ("", "stall_evolution", ""):
        system.mend()
        if what:
            system.break_(what)
        run_id = airflow.trigger(_DAG, {"items": ["health_check"]})
        airflow.wait_for_run(_DAG, run_id)
        if what:
            red = airflow.xcom(_DAG, run_id, "health_check.report")["report_id"]
    system.mend()
    for evening in range(_EVENINGS):
        run_id = airflow.trigger(_DAG, {"items": ["backup", "backup_verification"], "backup_full": evening == 0})
        airflow.wait_for_run(_DAG, run_id)
    proven = airflow.xcom(_DAG, run_id, "backup_proven")["set_id"]
    with browser(system.supervisor) as page:
        log_in(page, airflow)
        taken = [page.picture("dags")]
        page.open(f"{airflow.url}/dags/{_DAG}", until=_shows("health_check"))
        taken.append(page.picture("grid"))
        page.open(f"{airflow.url}/plugin/maintenance", until="!!document.querySelector('iframe')")
        taken.append(page.picture("maintenance"))
        page.open(f"{airflow.url}/tdev/reports/{red}", until=_shows("evolution.generation_age"))
        taken.append(page.picture("report"))
        page.open(f"{airflow.url}/tdev/backups", until=_shows(proven))
        taken.append(page.picture("backups"))
        page.open(f"{airflow.url}/tdev/backups/{proven}", until=_shows("PROVEN"))
        taken.append(page.picture("backup_set"))
        page.open(f"{airflow.url}/dags/{_DAG}/runs/{run_id}", until=_shows("backup_verification"))
        taken.append(page.picture("evening"))
        page.open(f"{airflow.url}/dags/{_DAG}", until=_CAN_TRIGGER)
        page.run(f"({_CAN_TRIGGER}).click()")
        page.wait(_shows("Items to do now"))
        taken.append(page.picture("trigger"))
    return taken


def take_worst_day(system: Sandbox, airflow: Airflow) -> list[Path]:
    """Let a lead ask for a drill and for a failover, and the deputy approve them; a PROVEN set is there."""
    with browser(system.supervisor) as page:
        log_in(page, airflow, "lead")
        page.open(f"{airflow.url}/dags/tdev_failover", until=_CAN_TRIGGER)
        page.run(f"({_CAN_TRIGGER}).click()")
        page.wait(_shows("I have seen the old side off with my own eyes"))
        taken = [page.picture("failover_form")]
        for dag_id, group, conf in (("tdev_dr_drill", "drill", {}), ("tdev_failover", "failover", {"to": "second"})):
            run_id = airflow.trigger(dag_id, conf, user="lead")
            run, task = f"/dags/{dag_id}/runs/{run_id}", f"{group}.approve"
            _wait_for_state(airflow, dag_id, run_id, task, "awaiting_input")
            log_in(page, airflow, "deputy")
            page.open(f"{airflow.url}{run}/tasks/{task}/required_actions", until=_shows("lead asks to"))
            taken.append(page.picture(f"{group}_approval"))
            time.sleep(_ANSWER_SECONDS)
            path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/-1/hitlDetails"
            answer = {"chosen_options": ["Approve"], "params_input": {}}
            airflow.api("PATCH", path, user="deputy", json=answer).raise_for_status()
            airflow.wait_for_run(dag_id, run_id)
            page.open(f"{airflow.url}{run}", until=_shows("judge"))
            taken.append(page.picture(f"{group}_grid"))
            report = airflow.xcom(dag_id, run_id, f"{group}.report")["report_id"]
            page.open(f"{airflow.url}/tdev/reports/{report}", until=_shows(f"{group}."))
            taken.append(page.picture(f"{group}_report"))
    return taken


def take_database(system: Sandbox, airflow: Airflow) -> list[Path]:
    """Let a week of care be done on a database with a thin index, a day be analysed and a month be foretold."""
    with system.database() as sql:
        sql.execute("SET ROLE t_developer; CREATE TABLE sessions (id int, x text) WITH (autovacuum_enabled = off)")
        sql.execute("INSERT INTO sessions SELECT i, 'x' FROM generate_series(1, 600000) AS i")
        sql.execute("CREATE INDEX sessions_id_idx ON sessions (id)")
        sql.execute("DELETE FROM sessions WHERE id % 20 <> 0; ANALYZE sessions; RESET ROLE")
    runs = [
        ("tdev_weekly", "performance_tuning", "tuning."),
        ("tdev_weekly", "metric_cleanup", "retention."),
        ("tdev_weekly", "database_optimization", "care."),
        ("tdev_monthly", "capacity_planning", "capacity."),
    ]
    taken = []
    with browser(system.supervisor) as page:
        log_in(page, airflow)
        for dag_id, item, shown in runs:
            if item == "capacity_planning":
                _remember_two_months(system)
            airflow.wait_for_dag(dag_id)
            run_id = airflow.trigger(dag_id, {"items": [item]})
            airflow.wait_for_run(dag_id, run_id)
            taken.append(_report_of(page, airflow, dag_id, run_id, item, shown))
    return taken


def take_evolution(system: Sandbox, airflow: Airflow) -> list[Path]:
    """Let a day's evolution be reviewed, agents be made smaller, and a hung engine be cured after an approval."""
    runs = [
        ("tdev_daily", "evolution_metrics_review", "generations."),
        ("tdev_daily", "performance_analysis", "performance."),
        ("tdev_weekly", "agent_optimization", "agents."),
    ]
    taken = []
    with browser(system.supervisor) as page:
        log_in(page, airflow)
        for dag_id, item, shown in runs:
            airflow.wait_for_dag(dag_id)
            run_id = airflow.trigger(dag_id, {"items": [item]})
            airflow.wait_for_run(dag_id, run_id)
            taken.append(_report_of(page, airflow, dag_id, run_id, item, shown))
        airflow.wait_for_run(_DAG, airflow.trigger(_DAG))  # a whole day's items
        page.open(f"{airflow.url}/dags/{_DAG}", until=_shows("evolution_metrics_review"))
        taken.append(page.picture("day"))
        system.engine.interval_seconds = 1.0  # once it is cured it is fast, so that two generations are soon there
        system.break_("hang_evolution")
        system.break_("spoil_checkpoints")
        dag_id, group = "tdev_recover_evolution", "recover_evolution"
        airflow.wait_for_dag(dag_id)
        run_id = airflow.trigger(dag_id, {"dry_run": False}, user="lead")
        _wait_for_state(airflow, dag_id, run_id, f"{group}.approve", "awaiting_input")
        time.sleep(_ANSWER_SECONDS)
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{group}.approve/-1/hitlDetails"
        answer = {"chosen_options": ["Approve"], "params_input": {}}
        airflow.api("PATCH", path, user="deputy", json=answer).raise_for_status()
        airflow.wait_for_run(dag_id, run_id)
        taken.append(_report_of(page, airflow, dag_id, run_id, group, "evolution_recovery."))
    return taken


def _report_of(page: Browser, airflow: Airflow, dag_id: str, run_id: str, group: str, shown: str) -> Path:
    report = airflow.xcom(dag_id, run_id, f"{group}.report")["report_id"]
    page.open(f"{airflow.url}/tdev/reports/{report}", until=_shows(shown))
    page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    return page.picture(f"{group}_report")


def _remember_two_months(system: Sandbox) -> None:
    """Give the ledger what it would know after two months: yesterday's figures, growing by the day."""
    with system.control.connect("ledger") as sql:
        sql.execute(
            "INSERT INTO maintenance.samples SELECT system, kind, taken_at - ago * interval '1 day', "
            "CASE kind WHEN 'sizes' THEN jsonb_set(facts, '{database_bytes}', to_jsonb(round("
            "(facts ->> 'database_bytes')::numeric * (1 - 0.012 * ago + 0.004 * sin(ago))))) "
            "ELSE facts END FROM maintenance.samples, generate_series(1, 60) AS ago "
            "WHERE kind IN ('sizes', 'activity', 'buckets', 'disks')"
        )


def _wait_for_state(airflow: Airflow, dag_id: str, run_id: str, task: str, state: str) -> None:
    deadline = time.monotonic() + 300
    while airflow.states(dag_id, run_id).get(task) != state:
        if time.monotonic() > deadline:
            raise SandboxError(f"{task} is not {state}: {airflow.states(dag_id, run_id)}")
        time.sleep(0.5)


_PARTS = {"worst-day": take_worst_day, "database": take_database, "evolution": take_evolution}


def main() -> None:
    """Take the pictures and say where they are. With the word `worst-day`, `database` or `evolution`, only those."""
    end_on_signals()
    only = sys.argv[1] if len(sys.argv) == 2 and sys.argv[1] in _PARTS else ""  # noqa: PLR2004  the program and a word
    with Sandbox.start(scale="small" if only else "full", second_side=True) as system:
        airflow = Airflow(system.supervisor, system.control, system.environment).start()
        airflow.wait_for_dag(_DAG)
        if only == "worst-day":
            airflow.wait_for_run(_DAG, airflow.trigger(_DAG, {"items": ["backup", "backup_verification"]}))
        files = [] if only else take(system, airflow)
        for name in (only,) if only else ("database", "worst-day", "evolution"):
            files += _PARTS[name](system, airflow)
        for file in files:
            print(file.relative_to(REPOSITORY), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()

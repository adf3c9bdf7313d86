"""`make up`: a whole T-Developer, a real Airflow that maintains it, and the daily tier run for real."""

import sys
import time

import httpx

from sandbox.airflow import Airflow
from sandbox.control import publish, refuse_second
from sandbox.processes import end_on_signals
from sandbox.settings_file import change_settings
from sandbox.system import Sandbox

_COLOURS = {"OK": "32", "WARNING": "33", "UNKNOWN": "35", "CRITICAL": "31"}
_DAG = "tdev_daily"


def main() -> None:
    """Run until Ctrl-C; then nothing of it is left."""
    refuse_second()
    end_on_signals()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    say("starting T-Developer: PostgreSQL and its standby, S3, API, evolution engine, TLS, DNS, mail, logs")
    with Sandbox.start(scale="full", second_side=True) as system:
        publish(system)  # for `make break` and `make mend`
        # Airflow's own start keeps a small machine busy: that is no finding about T-Developer.
        change_settings(system.settings_file, {"health": {"check_timeout_seconds": 60}})
        say("starting Airflow: metadata, API server, scheduler, DAG processor, triggerer")
        airflow = Airflow(system.supervisor, system.control, system.environment).start()
        airflow.wait_for_dag(_DAG)
        say(f"running {_DAG} for real")
        run_id = airflow.trigger(_DAG)
        state = airflow.wait_for_run(_DAG, run_id)
        say(f"{_DAG} {run_id}: {state}")
        for task, result in sorted(airflow.states(_DAG, run_id).items()):
            if task.endswith(".report") and result == "success":
                _print_report(airflow, str(airflow.xcom(_DAG, run_id, task)["report_id"]))
        print(
            f"""
  Airflow      {airflow.url}   user admin, password {airflow.passwords["admin"]}
  Team leads   lead {airflow.passwords["lead"]}, deputy {airflow.passwords["deputy"]} (one asks, the other approves)
  Reports      {airflow.url}/tdev/
  Mails        {len(system.mail.files())} in {system.mail.folder}
  Break it     make break WHAT=stall_evolution   (then trigger {_DAG}; `make mend` undoes it)
  Stop         Ctrl-C: everything is stopped and removed
""",
            flush=True,
        )
        while True:
            time.sleep(3_600)


def _print_report(airflow: Airflow, report_id: str) -> None:
    headers = {"Authorization": f"Bearer {airflow.token()}"}
    report = httpx.get(f"{airflow.url}/tdev/reports/{report_id}.json", headers=headers, timeout=30)
    report.raise_for_status()
    facts = report.json()
    results = [finding["result"] for finding in facts["findings"]]
    print(f"\n  {facts['item']}: {_coloured(facts['verdict'])}\n")
    width = max(len(result["check"]) for result in results)
    for result in results:
        print(f"  {_coloured(result['verdict'])}  {result['check']:{width}}  {result['summary']}")


def _coloured(verdict: str) -> str:
    text = f"{verdict:8}"
    return f"\x1b[{_COLOURS[verdict]}m{text}\x1b[0m" if sys.stdout.isatty() else text


if __name__ == "__main__":
    main()

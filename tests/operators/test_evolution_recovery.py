"""A stalled evolution, and high memory, as tasks do it on a small T-Developer with its ledger."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from sandbox.settings_file import change_settings
from sandbox.system import Sandbox
from tdev_operators.core.errors import AccessDeniedError, BusyError
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER
from tdev_operators.hooks.ledger_schema import migrate

DAGS = {"recover_evolution": "tdev_recover_evolution", "relieve_memory": "tdev_relieve_memory"}
FORMS = {
    "recover_evolution": {"dry_run": False, "force": False, "although_stopped": False},
    "relieve_memory": {"dry_run": False, "force": False, "hosts": None},
}


@pytest.fixture(scope="module")
def system():
    """A small T-Developer of our own whose engine makes a generation twice a second; its ledger is set up."""
    with Sandbox.start("small", engine=False, engine_interval_seconds=0.5) as running:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        changes = {
            "system": {"maintenance_window": {"weekday": f"{tomorrow:%A}".lower()}},  # closed, whatever day it is
            "evolution": {"recovery": {"generation_wait_seconds": 10.0}},
            # Here everything is high, and everything that holds anything may be restarted.
            "health": {"infrastructure": {"memory_used_percent": {"warning": 0.1, "critical": 99.9}}},
        }
        change_settings(running.settings_file, changes)
        migrate(EnvironmentConnections(running.environment).get(LEDGER))
        yield running


@pytest.fixture
def tasks(system, monkeypatch):
    """Its connections and settings, as a task finds them; afterwards the engine is stopped and nothing is broken."""
    _enter(system, monkeypatch)
    system.break_("stall_evolution")
    yield system
    system.engine.stalls_after = None
    system.engine.stop()
    system.mend()


def _enter(system, monkeypatch):
    for name, value in system.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TDEV_SETTINGS", str(system.settings_file))


class Run:
    """One run of a procedure, its tasks one by one with what they hand on."""

    def __init__(self, item, run_id, user="lead", **asked):
        self.item, self.handed = item, {}
        run = SimpleNamespace(
            dag_id=DAGS[item], run_id=run_id, run_type=SimpleNamespace(value="manual"), triggering_user_name=user
        )
        ti = SimpleNamespace(xcom_pull=self.pulled, try_number=1)
        self.context = {"dag_run": run, "params": {**FORMS[item], **asked}, "ti": ti}

    def pulled(self, task_ids):
        return self.handed.get(task_ids)

    def do(self, operator):
        returned = operator.execute(self.context)
        self.handed[f"{self.item}.{operator.task_id}"] = returned
        return returned

    def approve(self, by="deputy"):
        self.handed[f"{self.item}.approve"] = {"approved_by": by}


def recovery_of(run):
    from tdev_operators.operators import evolution_recovery as operators

    return (
        lambda: run.do(operators.EvolutionDiagnoseOperator(task_id="diagnose")),
        lambda: run.do(operators.EvolutionRecoverOperator(task_id="recover", approvals=["recover_evolution.approve"])),
        lambda: run.do(operators.EvolutionConcludeOperator(task_id="conclude")),
    )


def noted(system, what, run_id):
    """Return what the ledger holds of a run."""
    queries = {
        "events": "SELECT event FROM maintenance.journal JOIN maintenance.item_runs AS run ON run.id = item_run_id "
        "WHERE run_id = %s ORDER BY journal.id",
        "results": "SELECT result FROM maintenance.check_results JOIN maintenance.item_attempts AS attempt "
        "ON attempt.id = attempt_id JOIN maintenance.item_runs AS run ON run.id = item_run_id WHERE run_id = %s",
    }
    with system.control.connect("ledger") as sql:
        return [row[0] for row in sql.execute(queries[what], (run_id,)).fetchall()]


def test_diagnosed_approved_recovered_concluded(tasks):
    run = Run("recover_evolution", "manual__1")
    diagnose, recover, conclude = recovery_of(run)
    told = diagnose()
    assert told["acts"]
    assert told["evidence"].endswith("/evidence/recover_evolution/evolution-manual-1/diagnosis.json")
    assert told["asks"]
    with pytest.raises(AccessDeniedError, match="This needs 1 approvals"):
        recover()
    run.approve()
    recover()
    ended = conclude()
    assert ended["verdict"] == "OK", ended
    assert ended["summary"].startswith("Cured: generation ")
    assert tasks.engine.running
    assert noted(tasks, "events", "manual__1") == ["evolution_stop", "evolution_start", "evolution_resume"]


def test_a_dry_run_by_anybody_touches_nothing(tasks):
    from airflow.sdk.exceptions import AirflowSkipException

    run = Run("recover_evolution", "manual__2", user="stranger", dry_run=True)
    diagnose, recover, conclude = recovery_of(run)
    assert diagnose()["acts"] is False
    with pytest.raises(AirflowSkipException):
        recover()
    assert conclude()["verdict"] == "WARNING"
    assert not tasks.engine.running
    with pytest.raises(AccessDeniedError, match="stranger may not start this"):
        recovery_of(Run("recover_evolution", "manual__3", user="stranger"))[0]()


def test_of_two_at_once_the_second_is_refused_in_a_sentence(tasks):
    from tdev_operators.operators.evolution_recovery import EvolutionDiagnoseOperator

    first, second = Run("recover_evolution", "manual__4"), Run("recover_evolution", "manual__5")
    diagnose, recover, conclude = recovery_of(second)
    assert diagnose()["acts"]
    second.approve()
    with EvolutionDiagnoseOperator(task_id="other").opened(first.context, alone=True):
        with pytest.raises(BusyError, match="tdev_recover_evolution manual__4"):
            recover()
        with pytest.raises(BusyError, match="tdev_recover_evolution manual__4"):
            recovery_of(Run("recover_evolution", "manual__6"))[0]()
        assert conclude()["verdict"] == "CRITICAL", "it says that it was not begun, whoever is at work"
    assert not tasks.engine.running


@pytest.mark.faults
def test_a_restore_that_is_at_work_is_waited_for(tasks):
    from tdev_operators.operators.work import recovering

    run = Run("recover_evolution", "manual__7")
    diagnose, recover, _ = recovery_of(run)
    diagnose()
    run.approve()
    with recovering("restore-of-today"), pytest.raises(BusyError, match="restore-of-today"):
        recover()
    assert not tasks.engine.running


@pytest.mark.faults
def test_an_engine_that_cannot_be_started_again_is_told_once_there_is_no_other_try(tasks, monkeypatch):
    from tdev_operators.core.errors import CommandFailedError
    from tdev_operators.core.evolution.recovery import recover as core
    from tdev_operators.operators.work import recovering

    def broken(*_):
        raise CommandFailedError("`start` on sandbox ended with status 1; see what keeps it.")

    run = Run("recover_evolution", "manual__10")
    diagnose, recover, conclude = recovery_of(run)
    diagnose()
    run.approve()
    monkeypatch.setattr(core, "start_service", broken)
    with pytest.raises(CommandFailedError):
        recover()
    with recovering("restore-of-today"), pytest.raises(BusyError, match="restore-of-today"):
        conclude()
    with pytest.raises(CommandFailedError):
        conclude()
    run.context["ti"].try_number = 4
    with recovering("drill-of-today"), pytest.raises(BusyError, match="drill-of-today"):
        conclude()  # who holds the lease is waited for longer than a fault
    ended = conclude()
    assert ended["verdict"] == "CRITICAL"
    assert ended["summary"].startswith("The engine was stopped and could not be started again: `start` on sandbox ")
    monkeypatch.undo()
    _enter(tasks, monkeypatch)
    run.context["ti"].try_number = 5
    assert conclude()["verdict"] == "CRITICAL", "it runs, and nobody knows whether it is cured"
    assert tasks.engine.running


def half_done(run_id):
    """A recovery that has stopped the engine and went no further."""
    from tdev_operators.operators import evolution_recovery as operators

    run = Run("recover_evolution", run_id)
    recovery_of(run)[0]()
    with operators.EvolutionDiagnoseOperator(task_id="look").opened(run.context) as (recovery, _):
        recovery.journal.note("stop on sandbox", "done", at=datetime.now(UTC).isoformat())
    return run


def test_who_holds_the_lease_to_the_end_does_not_hide_that_the_engine_was_left_stopped(tasks):
    from tdev_operators.operators.engine_care import _TRIES_WHILE_BUSY as TRIES_WHILE_BUSY
    from tdev_operators.operators.memory_relief import MemoryDiagnoseOperator
    from tdev_operators.operators.work import recovering

    tasks.engine.stalls_after = 0
    run = half_done("manual__11")
    conclude = recovery_of(run)[2]
    run.context["ti"].try_number = TRIES_WHILE_BUSY
    with recovering("drill-of-today"), pytest.raises(BusyError, match="drill-of-today"):
        conclude()
    run.context["ti"].try_number = TRIES_WHILE_BUSY + 1
    told = "The engine was stopped and could not be started again: "
    with recovering("drill-of-today"):
        ended = conclude()
    assert (ended["verdict"], ended["summary"].startswith(f"{told}drill-of-today holds ")) == ("CRITICAL", True)
    relief = Run("relieve_memory", "manual__12").context
    with MemoryDiagnoseOperator(task_id="other").opened(relief, alone=True):
        ended = conclude()
    assert ended["summary"].startswith(f"{told}tdev_relieve_memory manual__12 holds ")
    assert not tasks.engine.running
    conclude()
    assert tasks.engine.running, "once nobody is at work it is started"


@pytest.mark.parametrize("lease", ["evolution", pytest.param("recovery", marks=pytest.mark.faults)])
def test_with_a_ledger_that_gives_no_lease_nothing_is_stopped_and_what_was_left_stopped_is_started(
    tasks, monkeypatch, lease
):
    from tdev_operators.core.errors import TargetUnreachableError
    from tdev_operators.hooks.ledger import PostgresLedger
    from tdev_operators.operators import memory_relief as memory

    given = PostgresLedger.lease

    @contextmanager
    def blip(self, name, *rest):
        if name.startswith(f"{lease}:"):
            raise TargetUnreachableError("The ledger is away for a moment; look.")
        with given(self, name, *rest) as held:
            yield held

    tasks.engine.stalls_after = 0
    tasks.engine.start()
    before = tasks.engine.pid
    relief, recovery = Run("relieve_memory", f"manual__13_{lease}"), Run("recover_evolution", f"manual__14_{lease}")
    relief.do(memory.MemoryDiagnoseOperator(task_id="diagnose"))
    recovery_of(recovery)[0]()
    recovery.handed["recover_evolution.diagnose"] = {"acts": True}
    for run in (relief, recovery):
        run.approve()
    monkeypatch.setattr(PostgresLedger, "lease", blip)
    with pytest.raises(TargetUnreachableError, match="away for a moment"):
        relief.do(memory.MemoryRelieveOperator(task_id="relieve", approvals=["relieve_memory.approve"]))
    with pytest.raises(TargetUnreachableError, match="away for a moment"):
        recovery_of(recovery)[1]()
    assert tasks.engine.pid == before
    tasks.engine.stop()
    recovery_of(half_done(f"manual__15_{lease}"))[2]()
    assert tasks.engine.running, "a ledger that is down leaves no engine stopped"


def test_a_refusal_is_noted_and_told(tasks):
    from tdev_operators.operators.evolution_recovery import EvolutionApprovalOperator

    run = Run("recover_evolution", "manual__8")
    diagnose, _, conclude = recovery_of(run)
    diagnose()
    run.handed["recover_evolution.diagnose"]["asks"] = True
    approve = EvolutionApprovalOperator(task_id="approve")
    asked = approve.question(run.context)
    assert "lead asks to restart the evolution's engine **now" in asked
    assert "t-developer-evolution on sandbox does not run." in asked
    approve.note_refusal(run.context, "director rejected it.")
    ended = conclude()
    assert ended["verdict"] == "CRITICAL"
    assert ended["summary"].startswith("Nothing was touched: director rejected it.")


def test_memory_is_shown_relieved_by_a_restart_and_the_evolution_goes_on(tasks):
    from tdev_operators.operators import memory_relief as operators

    tasks.engine.start()
    before = tasks.engine.pid
    run = Run("relieve_memory", "manual__9")
    told = run.do(operators.MemoryDiagnoseOperator(task_id="diagnose"))
    assert told["acts"] == ["restart t-developer-evolution on sandbox"]
    run.handed["relieve_memory.diagnose"]["asks"] = True
    asked = operators.MemoryApprovalOperator(task_id="approve").question(run.context)
    assert "- restart t-developer-evolution on sandbox" in asked
    run.approve()
    run.do(operators.MemoryRelieveOperator(task_id="relieve", approvals=["relieve_memory.approve"]))
    ended = run.do(operators.MemoryConcludeOperator(task_id="conclude"))
    assert ended["verdict"] in ("WARNING", "CRITICAL"), "below 0.1 % nothing on this machine ever comes"
    assert tasks.engine.pid not in (0, before)
    [result] = noted(tasks, "results", "manual__9")
    assert "Done: restart t-developer-evolution, " in result["summary"]
    assert "The evolution goes on: generation " in result["summary"]
    assert noted(tasks, "events", "manual__9") == ["memory_restart"]

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted((REPOSITORY / "dags").glob("*.py"))
# What a DAG file must not load while it is parsed; each costs a tenth of a second or more, every time.
HEAVY = (
    *("boto3", "botocore", "paramiko", "psycopg", "dns", "numpy", "scipy"),
    *("tdev_operators.core.settings", "tdev_operators.hooks"),
)


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(REPOSITORY / "dags")
    assert bag.import_errors == {}
    return bag.dags


def test_every_file_is_one_dag_of_its_name(dags):
    assert sorted(dags) == [file.stem for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_file_has_no_logic_and_says_airflow_and_dag(file):
    text = file.read_text(encoding="utf-8")
    assert "from airflow.sdk import DAG" in text, "Airflow skips files without the words"
    tree = ast.parse(text)
    logic = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.Try, ast.Lambda)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    assert "environ" not in text


def test_parsing_the_dag_files_imports_nothing_heavy():
    program = (
        "import sys, runpy; import airflow.sdk, airflow.timetables.trigger; before = set(sys.modules)\n"
        f"for file in {[str(file) for file in FILES]!r}:\n"
        "    runpy.run_path(file); new = set(sys.modules) - before; before |= new\n"
        f"    print('loaded by', file, *sorted(m for m in new if m.startswith({HEAVY!r})))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = [line for line in printed.splitlines() if line.startswith("loaded by")]
    assert loaded == [f"loaded by {file}" for file in FILES]


def test_every_task_is_bounded_and_every_red_task_is_explained(dags):
    for dag in dags.values():
        assert dag.doc_md
        for task in dag.tasks:
            # What waits for a human is bounded by the settings' approval_hours, or by its own response_timeout.
            assert task.execution_timeout is not None or isinstance(task, HITLOperator), task.task_id
            verb = task.task_id.rpartition(".")[2]
            assert verb == "close_run" or f"{verb}`" in dag.doc_md, (
                f"{dag.dag_id}: what to do when {task.task_id} is red?"
            )


def test_every_pool_is_one_that_init_makes(dags):
    from tdev_operators.hooks.airflow_setup import POOLS

    # A task in a missing pool waits for ever.
    assert {task.pool for dag in dags.values() for task in dag.tasks} <= {"default_pool", *POOLS}


def test_an_item_is_due_then_work_then_report_then_judge(dags):
    daily = dags["tdev_daily"]
    item = daily.task_group.children["health_check"]
    tasks = {task_id.removeprefix("health_check."): task for task_id, task in item.children.items()}
    assert list(tasks) == ["check", "due", "report", "judge"]
    assert tasks["due"].downstream_task_ids == {"health_check.check"}
    assert tasks["check"].downstream_task_ids == {"health_check.report", "health_check.judge"}
    assert tasks["report"].downstream_task_ids == {"health_check.judge", "close_run"}
    assert tasks["report"].trigger_rule == "all_done"
    assert tasks["judge"].trigger_rule == "all_success"
    assert tasks["judge"].retries == 0
    assert tasks["check"].max_active_tis_per_dag == 1
    assert tasks["check"].retry_policy is not None
    assert daily.task_dict["close_run"].is_teardown, "as a plain leaf it would hide a red judge from the run's state"


def test_every_red_item_makes_its_run_red(dags):
    """Airflow asks a run's last tasks, teardowns aside: a failed judge must be one, or fail all that come behind it."""
    for dag in dags.values():
        judges = [task for task in dag.tasks if task.task_id.endswith(".judge")]
        assert judges
        for judge in judges:
            behind = [dag.get_task(task) for task in judge.downstream_task_ids]
            assert {task.trigger_rule for task in behind if not task.is_teardown} <= {"all_success"}, judge.task_id


def test_missed_slots_and_backfills(dags):
    for dag in dags.values():
        assert dag.catchup is False
        kinds = {"scheduled", "manual"} if dag.timetable.can_be_scheduled else {"manual"}
        assert {str(kind.value) for kind in dag.allowed_run_types} == kinds


def test_what_replaces_a_live_system_is_for_team_leads_and_never_by_itself(dags):
    restore = dags["tdev_restore"]
    assert not restore.timetable.can_be_scheduled
    assert set(restore.access_control) == {"team_lead"}
    tasks = {task_id.removeprefix("restore."): task for task_id, task in restore.task_dict.items()}
    before = tasks["replace_live"].get_flat_relative_ids(upstream=True)
    assert {"restore.approve", "restore.approve_again", "restore.approved", "restore.safety_set"} <= before
    assert tasks["settle"].is_teardown, "it runs when somebody marks the run as failed, too"
    assert tasks["settle"].on_failure_fail_dagrun
    assert tasks["report"].upstream_task_ids == {"restore.settle"}
    assert tasks["judge"].upstream_task_ids == {"restore.report"}


def test_a_drill_is_for_team_leads_and_its_leftovers_are_removed_however_it_ends(dags):
    drill = dags["tdev_dr_drill"]
    assert not drill.timetable.can_be_scheduled
    assert set(drill.access_control) == {"team_lead"}
    tasks = {task_id.removeprefix("drill."): task for task_id, task in drill.task_dict.items()}
    assert tasks["intend"].is_setup
    assert tasks["clear"].is_teardown
    assert tasks["clear"].on_failure_fail_dagrun, "leftovers make the run red"
    assert {"drill.approve", "drill.approved"} <= tasks["rehearse"].get_flat_relative_ids(upstream=True)
    assert tasks["conclude"].trigger_rule == "all_done"
    assert tasks["report"].upstream_task_ids == {"drill.conclude"}


def test_nothing_is_promoted_before_it_was_approved_fenced_and_synced(dags):
    failover = dags["tdev_failover"]
    assert not failover.timetable.can_be_scheduled
    assert set(failover.access_control) == {"team_lead"}
    tasks = {task_id.removeprefix("failover."): task for task_id, task in failover.task_dict.items()}
    before = {f"failover.{task}" for task in ("look", "approve", "approved", "fence", "sync")}
    assert before == tasks["promote"].get_flat_relative_ids(upstream=True)
    assert tasks["settle"].is_teardown, "it runs when somebody marks the run as failed, too"
    assert tasks["settle"].on_failure_fail_dagrun
    assert tasks["report"].upstream_task_ids == {"failover.settle"}


def test_the_plugins_folder_hides_the_package_from_airflow():
    # Without this line Airflow executes every module below plugins/ a second time, in every process.
    assert (REPOSITORY / "plugins" / ".airflowignore").read_text(encoding="utf-8") == "tdev_operators/\n"
    from airflow._shared.module_loading import find_path_from_directory

    found = list(find_path_from_directory(str(REPOSITORY / "plugins"), ".airflowignore", "glob"))
    assert [path for path in found if path.endswith(".py")] == []


def test_a_restart_with_other_settings_is_approved_first_and_told_however_it_ends(dags):
    tuning = dags["tdev_apply_tuning"]
    assert not tuning.timetable.can_be_scheduled
    assert set(tuning.access_control) == {"team_lead"}
    tasks = {task_id.removeprefix("apply_tuning."): task for task_id, task in tuning.task_dict.items()}
    assert {"apply_tuning.look", "apply_tuning.approve"} <= tasks["restart"].get_flat_relative_ids(upstream=True)
    assert tasks["conclude"].trigger_rule == "all_done"
    assert tasks["report"].upstream_task_ids == {"apply_tuning.conclude"}
    assert tuning.params["dry_run"] is True


@pytest.mark.parametrize(
    ("dag", "group", "act"),
    [("tdev_recover_evolution", "recover_evolution", "recover"), ("tdev_relieve_memory", "relieve_memory", "relieve")],
)
def test_what_restarts_a_service_is_diagnosed_and_approved_first_and_concluded_however_it_ends(dags, dag, group, act):
    procedure = dags[dag]
    assert not procedure.timetable.can_be_scheduled
    assert set(procedure.access_control) == {"team_lead"}
    tasks = {task_id.removeprefix(f"{group}."): task for task_id, task in procedure.task_dict.items()}
    assert tasks[act].get_flat_relative_ids(upstream=True) == {f"{group}.diagnose", f"{group}.approve"}
    assert tasks["conclude"].is_teardown, "it runs when somebody marks the run as failed, too"
    assert tasks["conclude"].on_failure_fail_dagrun
    assert tasks["report"].upstream_task_ids == {f"{group}.conclude"}
    assert procedure.params["dry_run"] is True
    assert procedure.params["force"] is False


def test_a_table_is_exchanged_only_when_it_was_looked_at_and_approved(dags):
    conversion = dags["tdev_partition_metrics"]
    assert not conversion.timetable.can_be_scheduled
    assert set(conversion.access_control) == {"team_lead"}
    tasks = {task_id.removeprefix("partition_metrics."): task for task_id, task in conversion.task_dict.items()}
    before = tasks["partition"].get_flat_relative_ids(upstream=True)
    assert before == {"partition_metrics.look", "partition_metrics.approve"}
    assert tasks["report"].upstream_task_ids == {"partition_metrics.partition"}
    assert conversion.params["dry_run"] is True
    assert conversion.params["now"] is False


def test_rotation_is_put_on_hosts_by_team_leads_and_dry_unless_they_say_so(dags):
    rotation = dags["tdev_install_log_rotation"]
    assert not rotation.timetable.can_be_scheduled
    assert set(rotation.access_control) == {"team_lead"}
    assert (rotation.params["dry_run"], rotation.params["prove"]) == (True, False)
    tasks = {task_id.removeprefix("install_log_rotation."): task for task_id, task in rotation.task_dict.items()}
    assert tasks["report"].upstream_task_ids == {"install_log_rotation.install"}
    assert tasks["report"].trigger_rule == "all_done"

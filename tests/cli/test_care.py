"""`tdev cleanup`, `tdev give-back` and `tdev tuning` without Airflow, on a small T-Developer with its ledger."""

import argparse
import io
import json

import pytest

from sandbox.system import Sandbox
from tdev_operators.cli import cleanup, give_back, tuning
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError, SetupMissingError
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER
from tdev_operators.hooks.ledger_schema import migrate

pytestmark = [pytest.mark.xdist_group("cli-care"), pytest.mark.timeout(120)]
_DOES = {"cleanup": cleanup.cleanup, "give-back": give_back.give_back_rows, "tuning": tuning.tuning}
_MODULES = {"cleanup": cleanup, "give-back": give_back, "tuning": tuning}


@pytest.fixture(scope="module")
def system():
    with Sandbox.start("small", engine=False) as running:
        migrate(EnvironmentConnections(running.environment).get(LEDGER))
        yield running


@pytest.fixture
def tdev(system):
    """Run a command with these words; return the exit status and what it printed."""

    def run(command, *words, without=(), **changes):
        parser = argparse.ArgumentParser()
        _MODULES[command].add_arguments(parser)
        environment = {name: value for name, value in system.environment.items() if name not in without}
        settings = load_settings(system.settings_file)
        settings = settings.model_copy(
            update={
                section: getattr(settings, section).model_copy(update=values) for section, values in changes.items()
            }
        )
        out = io.StringIO()
        status = _DOES[command](parser.parse_args(words), environment=environment, settings=settings, out=out)
        return status, out.getvalue()

    return run


@pytest.fixture
def ledger(system):
    return PostgresLedger(EnvironmentConnections(system.environment).get(LEDGER))


def value(system, query):
    with system.database() as sql:
        return sql.execute(query).fetchone()[0]


def journal(system, run):
    with system.control.connect("ledger") as sql:
        rows = sql.execute(
            "SELECT event, journal.facts FROM maintenance.journal "
            "JOIN maintenance.item_runs AS runs ON runs.id = journal.item_run_id WHERE runs.run_id = %s ORDER BY 1",
            [run],
        ).fetchall()
    return dict(rows)


def test_old_rows_are_told_then_removed_with_a_receipt_and_given_back(system, tdev, ledger):
    before = value(system, "SELECT count(*) FROM metrics")
    status, printed = tdev("cleanup", without=("AIRFLOW_CONN_TDEV_LEDGER",))
    assert status == 0
    assert "Dry run: of " in printed
    assert "DELETE FROM" in printed
    assert value(system, "SELECT count(*) FROM metrics") == before

    with pytest.raises(SetupMissingError, match="tdev_ledger"):
        tdev("cleanup", "--run", without=("AIRFLOW_CONN_TDEV_LEDGER",))
    with ledger.lease("item:metric_cleanup", "the weekly run"), pytest.raises(BusyError, match="the weekly run holds"):
        tdev("cleanup", "--run")
    assert value(system, "SELECT count(*) FROM metrics") == before

    status, printed = tdev("cleanup", "--run", "--by", "lead", "--json")
    told = json.loads(printed)
    run = told["run"]
    assert status == 0
    assert run.startswith("retention-shell-")
    after = value(system, "SELECT count(*) FROM metrics")
    assert after < before
    assert {one["check"] for one in told["results"]} == {"retention.metrics", "retention.conservation"}
    noted = journal(system, run)
    assert set(noted) == {"retention_intended", "retention_removes", "retention_done"}
    assert noted["retention_removes"]["asked_by"] == "lead"

    status, printed = tdev("cleanup", "--run", "--go-on", run)
    assert status == 0
    assert "This run had done it before; nothing was done twice." in printed
    assert f"receipt: s3://t-developer-backups/t-developer/archive/{run}/public.metrics/receipt.json" in printed

    status, printed = tdev("give-back", run, "--dry-run")
    assert status == 0
    assert "would go into public.metrics_given_back" in printed
    for people in ([], ["--by", "lead", "--approved-by", "lead"], ["--approved-by", "stranger"]):
        with pytest.raises(AccessDeniedError, match="needs 1 approvals"):
            tdev("give-back", run, *people)
    assert value(system, "SELECT to_regclass('metrics_given_back') IS NULL")
    status, printed = tdev("give-back", run, "--by", "lead", "--approved-by", "deputy")
    assert status == 0
    assert "archived rows stand in public.metrics_given_back as they were" in printed
    assert journal(system, run)["give_back_intended"]["by"] == ["deputy"]
    # The archive is enough: the ledger may be dead.
    status, printed = tdev(
        "give-back", run, "--into-table", "--approved-by", "deputy", without=("AIRFLOW_CONN_TDEV_LEDGER",)
    )
    assert status == 0
    assert value(system, "SELECT count(*) FROM metrics") > after


def test_what_is_no_archive_or_no_run_is_refused(tdev):
    with pytest.raises(InputError, match="Say of which table the archive of retention-nowhere is wanted"):
        tdev("give-back", "retention-nowhere", "--dry-run")
    with pytest.raises(InputError, match="add --run"):
        tdev("cleanup", "--go-on", "retention-nowhere")


@pytest.mark.faults
def test_settings_are_told_applied_and_taken_back(system, tdev):
    # It differs, and a reload makes it count.
    rules = {"tuning": {"database": {"shared_buffers": "160MB", "work_mem": "16MB"}, "application": {}}}
    running = "SELECT current_setting('work_mem')"
    before = value(system, running)
    status, printed = tdev("tuning", **rules)
    assert status == 0
    assert "Nothing was touched: this is a dry run." in printed
    assert "ALTER SYSTEM SET \"work_mem\" = '16MB';" in printed
    assert "shared_buffers" in printed, "a dry run tells of all kinds"
    assert value(system, running) == before

    with pytest.raises(AccessDeniedError, match="needs 1 approvals"):
        tdev("tuning", "--run", "--kinds", "reload,restart", "--now", "--by", "lead", **rules)
    assert value(system, running) == before, "nothing is begun of what is not approved"
    with pytest.raises(InputError, match="There is no kind 'reboot'"):
        tdev("tuning", "--run", "--kinds", "reboot")
    with pytest.raises(InputError, match="add --run"):
        tdev("tuning", "--go-on", "tuning-nowhere")

    status, printed = tdev("tuning", "--run", "--by", "lead", "--json", **rules)
    told = json.loads(printed)
    assert status == 0
    assert value(system, running) == "16MB"
    assert journal(system, told["run"])["tuning_set"] == {
        "setting": "work_mem",
        "value": "16MB",
        "former": None,
        "asked_by": "lead",
    }
    with system.control.connect("ledger") as sql:
        assert sql.execute("SELECT count(*) FROM maintenance.samples WHERE kind = 'tuning_effect'").fetchone() == (1,)

    status, printed = tdev("tuning", "--undo", told["run"], **rules)
    assert "ALTER SYSTEM RESET" in printed
    assert value(system, running) == "16MB"
    # The way back must not need the ledger.
    status, printed = tdev("tuning", "--undo", told["run"], "--run", without=("AIRFLOW_CONN_TDEV_LEDGER",), **rules)
    assert status == 0
    assert f"work_mem is as before {told['run']}, proven" in printed
    assert value(system, running) == before

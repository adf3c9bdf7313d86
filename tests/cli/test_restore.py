"""`tdev restore` without Airflow and without a ledger: bucket, server and credentials are enough."""

import argparse
import io
import json

import pytest

from sandbox.system import Sandbox
from tdev_operators.cli.drill import add_arguments as drill_arguments
from tdev_operators.cli.drill import drill
from tdev_operators.cli.restore import add_arguments, restore
from tdev_operators.cli.which_backup import add_arguments as which_arguments
from tdev_operators.cli.which_backup import which_backup
from tdev_operators.core.errors import AccessDeniedError, InputError, SetupMissingError
from tdev_operators.core.settings import load_settings
from tests.core.backup.whole_sets import House

pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def house():
    with Sandbox.start("small", engine=False) as system:
        house = House(system, "t-developer")
        house.take()
        assert house.verify().proven
        yield house


@pytest.fixture
def tdev(house):
    """Run `tdev restore` with these words; return the exit status and what it printed."""

    def run(*words, more=()):
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        needed = ("AIRFLOW_CONN_TDEV_AWS", "AIRFLOW_CONN_TDEV_RESTORE", *more)
        environment = {name: house.system.environment[name] for name in needed}
        out = io.StringIO()
        settings = load_settings(house.system.settings_file)
        return restore(parser.parse_args(words), environment=environment, settings=settings, out=out), out.getvalue()

    return run


def names(house):
    with house.system.source.connect("postgres") as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def test_the_dry_run_names_the_set_and_touches_nothing(house, tdev):
    before = names(house)
    status, printed = tdev("--dry-run", "--buckets", "agents")
    assert status == 0
    assert "set 000001-" in printed
    assert "GB are free on sandbox" in printed
    assert names(house) == before


def test_one_command_says_which_set_would_be_used(house):
    parser = argparse.ArgumentParser()
    which_arguments(parser)
    environment = {"AIRFLOW_CONN_TDEV_AWS": house.system.environment["AIRFLOW_CONN_TDEV_AWS"]}
    settings, out = load_settings(house.system.settings_file), io.StringIO()
    assert which_backup(parser.parse_args([]), environment=environment, settings=settings, out=out) == 0
    assert out.getvalue().startswith("000001-")
    assert "by restoring it and comparing every table" in out.getvalue()
    out = io.StringIO()
    assert which_backup(parser.parse_args(["--json"]), environment=environment, settings=settings, out=out) == 0
    told = json.loads(out.getvalue())
    assert told["seconds"] > 0
    assert told["age_seconds"] > 0
    empty = settings.model_copy(update={"system": settings.system.model_copy(update={"name": "another"})})
    assert which_backup(parser.parse_args([]), environment=environment, settings=empty, out=out) == 1
    assert "nothing is PROVEN" in out.getvalue()


def test_a_set_stands_beside_the_live_database_and_a_second_word_goes_on(house, tdev):
    status, printed = tdev("--name", "by_shell", "--recovery", "restore-shell-1")
    assert status == 0
    assert "database by_shell: " in printed
    assert "equal to the source at the snapshot" in printed
    status, printed = tdev("--name", "by_shell", "--recovery", "restore-shell-1", "--json")
    assert status == 0
    assert json.loads(printed)["database"]["name"] == "by_shell"
    with pytest.raises(InputError, match="is there already"):
        tdev("--name", "by_shell")


def test_replacing_the_live_database_wants_two_people(house, tdev):
    for people in ([], ["--approved-by", "lead"], ["--approved-by", "lead", "--approved-by", "lead"]):
        with pytest.raises(AccessDeniedError, match="needs 2 approvals"):
            tdev("--into", "live", "--no-safety-set", *people)


def test_without_a_safety_set_it_is_refused_before_anything_is_restored(house, tdev):
    before = names(house)
    with pytest.raises(SetupMissingError, match="The connection tdev_ledger is missing"):
        tdev("--into", "live", "--approved-by", "lead", "--approved-by", "deputy")
    assert names(house) == before


def test_the_live_database_is_replaced_from_a_shell(house, tdev):
    with house.system.database() as database:
        database.execute("DROP TABLE metrics CASCADE")
    sets, more = len(house.sets()), ("AIRFLOW_CONN_TDEV_POSTGRES", "AIRFLOW_CONN_TDEV_LEDGER")
    status, printed = tdev("000001", "--into", "live", "--approved-by", "lead", "--approved-by", "deputy", more=more)
    assert status == 0
    assert len(house.sets()) == sets + 1, "the broken one is kept as a set, too"
    assert "t_developer is the restored database; the old one is kept as t_developer_old_" in printed
    with house.system.database() as database:
        assert database.execute("SELECT count(*) > 0 FROM metrics").fetchone() == (True,)


def hold(house, *words):
    parser = argparse.ArgumentParser()
    drill_arguments(parser)
    environment = {"AIRFLOW_CONN_TDEV_AWS": house.system.environment["AIRFLOW_CONN_TDEV_AWS"]}
    settings, out = load_settings(house.system.settings_file), io.StringIO()
    return drill(parser.parse_args(words), environment=environment, settings=settings, out=out), out.getvalue()


@pytest.mark.faults
def test_a_drill_needs_the_bucket_alone_and_leaves_its_evidence(house):
    assert hold(house, "--history") == (0, "No drill was ever held.\n")
    status, printed = hold(house, "--by", "lead")
    assert status == 0, printed
    assert "OK       drill.rto" in printed
    assert "WARNING  drill.approval" in printed
    status, printed = hold(house, "--by", "lead", "--approved-by", "deputy", "--json")
    assert (status, json.loads(printed)["verdict"]) == (0, "OK"), printed
    status, printed = hold(house, "--history")
    assert [line.split()[0] for line in printed.splitlines()[::2]] == ["1", "2"]
    assert "by lead, approved by nobody" in printed
    assert "application" in printed


def test_a_drill_of_what_is_not_there_writes_nothing(house):
    before = house.keys()
    with pytest.raises(InputError, match="There is no set of 2020-01-01"):
        hold(house, "2020-01-01")
    assert house.keys() == before

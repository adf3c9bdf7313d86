"""Airflow's command line as `tdev init` calls it: a fake one that loses a race, or is broken."""

import json

import pytest

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.hooks import airflow_commands, airflow_setup

RACE = (
    "sqlalchemy.exc.IntegrityError: (psycopg2.errors.UniqueViolation) duplicate key value\n"
    "[parameters: {'role_id__0': 1}]\n"
)


@pytest.fixture
def airflow(tmp_path, monkeypatch):
    """Put a program in Airflow's place that fails so many times with a text, and then lists all pools."""
    listed = json.dumps([0, "a log line of its own\n" + json.dumps([{"pool": name} for name in airflow_setup.POOLS])])
    monkeypatch.setattr(airflow_commands.time, "sleep", lambda _: None)

    def install(failures: int, text: str):
        (tmp_path / "text").write_text(text)
        program = tmp_path / "airflow"
        program.write_text(
            f"#!/bin/sh\necho >> {tmp_path}/calls\n"
            f"if [ $(wc -l < {tmp_path}/calls) -le {failures} ]; then cat {tmp_path}/text >&2; exit 1; fi\n"
            f"cat <<'END'\n{listed}\nEND\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(airflow_commands, "PROGRAM", (str(program),))
        return {"PATH": "/usr/bin:/bin"}, lambda: len((tmp_path / "calls").read_text().splitlines())

    return install


def test_a_lost_race_for_airflows_permissions_is_tried_again(airflow):
    environment, calls = airflow(2, RACE)
    assert airflow_setup.ensure_airflow(environment) == (
        "pools tdev_checks (4 slots), tdev_backups (1 slot); no roles: who may trigger one DAG may trigger all"
    )
    assert calls() == 3


def test_a_race_that_never_ends_is_said(airflow):
    environment, calls = airflow(99, RACE)
    with pytest.raises(SetupMissingError, match="`airflow pools list` failed"):
        airflow_setup.ensure_airflow(environment)
    assert calls() == 4


def test_another_failure_is_said_at_once(airflow):
    environment, calls = airflow(99, "You need to initialize the database\n")
    with pytest.raises(SetupMissingError, match=r"You need to initialize the database.*run `airflow db migrate` first"):
        airflow_setup.ensure_airflow(environment)
    assert calls() == 1

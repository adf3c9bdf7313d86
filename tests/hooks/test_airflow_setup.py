"""Airflow's command line as `tdev init` calls it: a fake one that loses a race, or is broken."""

import json
from pathlib import Path

import pytest

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.hooks import airflow_setup

RACE = (
    "sqlalchemy.exc.IntegrityError: (psycopg2.errors.UniqueViolation) duplicate key value\n"
    "[parameters: {'role_id__0': 1}]\n"
)


@pytest.fixture
def airflow(tmp_path, monkeypatch):
    """Put a program in its place that fails so many times with a text, and then says that all is there."""
    monkeypatch.setattr(airflow_setup.time, "sleep", lambda _: None)

    def install(failures: int, text: str):
        (tmp_path / "text").write_text(text)
        program = tmp_path / "airflow"
        program.write_text(
            f"#!/bin/sh\necho >> {tmp_path}/calls\n"
            f"if [ $(wc -l < {tmp_path}/calls) -le {failures} ]; then cat {tmp_path}/text >&2; exit 1; fi\n"
            "echo a log line of its own\necho pools one, two\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(airflow_setup, "PROGRAM", (str(program),))
        return {"PATH": "/usr/bin:/bin"}, lambda: len((tmp_path / "calls").read_text().splitlines())

    return install


def test_a_lost_race_for_airflows_permissions_is_tried_again(airflow):
    environment, calls = airflow(2, RACE)
    assert airflow_setup.ensure_airflow(environment) == "pools one, two"
    assert calls() == 3


def test_a_race_that_never_ends_is_said(airflow):
    environment, calls = airflow(99, RACE)
    with pytest.raises(SetupMissingError, match="Airflow's command line failed"):
        airflow_setup.ensure_airflow(environment)
    assert calls() == 4


def test_another_failure_is_said_at_once(airflow):
    environment, calls = airflow(99, "You need to initialize the database\n")
    with pytest.raises(SetupMissingError, match=r"You need to initialize the database.*run `airflow db migrate` first"):
        airflow_setup.ensure_airflow(environment)
    assert calls() == 1


class TestWhatIsMade:
    """`_missing` and `_make` with an Airflow that remembers."""

    @pytest.fixture
    def known(self):
        return {"pools": {"default_pool"}, "roles": {"Admin": set()}, "said": []}

    @pytest.fixture
    def airflow(self, known):
        def say(*words):
            known["said"].append(words[:2])
            match words[:2]:
                case ("pools", "list"):
                    return "a log line\n" + json.dumps([{"pool": name} for name in known["pools"]])
                case ("roles", "list") if "--permission" in words:
                    listed = [
                        {"name": role, "resource": resource, "action": action}
                        for role, rights in known["roles"].items()
                        for action, resource in rights
                    ]
                    return json.dumps(listed)
                case ("roles", "list"):
                    return json.dumps([{"name": role} for role in known["roles"]])
                case ("pools", "import"):
                    known["pools"] |= json.loads(Path(words[2]).read_text()).keys()
                case ("roles", "create"):
                    known["roles"] |= {role: set() for role in words[2:]}
                case ("roles", "add-perms"):
                    known["roles"][words[2]].add((words[4], words[6]))
            return ""

        return say

    def test_everything_once(self, airflow, known):
        airflow_setup._make(airflow, *airflow_setup._missing(airflow, has_roles=True))
        assert known["pools"] == {"default_pool", *airflow_setup.POOLS}
        assert known["roles"] == {"Admin": set(), "engineer": set(), "team_lead": {("can_edit", "HITL Detail")}}
        assert airflow_setup._missing(airflow, has_roles=True) == ([], [], [])

    def test_a_right_that_a_killed_try_left_out_is_given(self, airflow, known):
        known["pools"] |= airflow_setup.POOLS.keys()
        known["roles"] |= {"engineer": set(), "team_lead": {("can_read", "HITL Detail")}}
        assert airflow_setup._missing(airflow, has_roles=True) == ([], [], ["team_lead"])
        airflow_setup._make(airflow, [], [], ["team_lead"])
        assert known["roles"]["team_lead"] == {("can_read", "HITL Detail"), ("can_edit", "HITL Detail")}

    def test_without_fab_nobody_asks_for_roles(self, airflow, known):
        known["pools"].clear()
        assert airflow_setup._missing(airflow, has_roles=False) == (sorted(airflow_setup.POOLS), [], [])
        assert known["said"] == [("pools", "list")]

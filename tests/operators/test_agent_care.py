"""The weekly item and the way back, on a small T-Developer whose store ignores If-Match, with ledger and API."""

import argparse
import hashlib
import io
import json

import pytest

from tdev_operators.core.errors import InputError
from tdev_operators.core.items import ItemRef
from tdev_operators.core.settings import load_settings
from tdev_operators.core.verdicts import Verdict
from tests.operators.test_metric_cleanup import system, tasks  # noqa: F401  fixtures

RUN = "manual__2026-11-25T05:00:00+00:00"


def optimised(run_id):
    from tdev_operators.operators.agent_care import AgentOptimiseOperator
    from tdev_operators.operators.base import task_ports
    from tdev_operators.operators.work import Job

    ref = ItemRef("weekly", "tdev_weekly", run_id, "agent_optimization")
    job = Job({}, ref, task_ports(), lambda: None)
    job.ports.ledger.open_item(ref, job.ports.clock())
    outcome = AgentOptimiseOperator(task_id="optimise").do(job)
    job.ports.ledger.close_item(ref, outcome)
    return outcome, job.returned["optimisation_id"]


def near_limit(sandbox):
    with sandbox.database() as database:
        return dict(database.execute("SELECT name, size_kb::float8 FROM agents WHERE size_kb > 6.0").fetchall())


def disagreeing(sandbox):
    """Return the agents of which registry and bucket do not tell the same."""
    client, bucket = sandbox.objects.client(), load_settings(sandbox.settings_file).buckets.agents
    with sandbox.database() as database:
        rows = database.execute(
            "SELECT DISTINCT ON (id) name, version, size_kb::float8, code_hash FROM agents "
            "JOIN agent_versions ON agent_id = id ORDER BY id, version_number DESC"
        ).fetchall()
    found = []
    for name, version, size_kb, code_hash in rows:
        body = client.get_object(Bucket=bucket, Key=f"{name}/{version}.py")["Body"].read()
        if (size_kb, code_hash) != (round(len(body) / 1024, 3), hashlib.sha256(body).hexdigest()):
            found.append(name)
    return found


def evolution(sandbox):
    with sandbox.database() as database:
        return database.execute("SELECT running FROM evolution_state").fetchone()[0]


def agents(sandbox, *argv):
    from tdev_operators.cli import agents as command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = io.StringIO()
    status = command.agents(
        parser.parse_args(argv),
        environment=sandbox.environment,
        settings=load_settings(sandbox.settings_file),
        out=out,
    )
    return status, out.getvalue()


def test_a_dry_look_then_the_item_then_the_way_back(tasks):  # noqa: F811  the fixture
    before = near_limit(tasks)
    assert before
    status, told = agents(tasks, "optimise")
    assert status == 0
    assert "nothing is written back" in told
    assert near_limit(tasks) == before

    outcome, run = optimised(RUN)
    assert outcome.verdict is Verdict.OK, outcome.results
    assert {one.check for one in outcome.results} == {"agents.confinement", "agents.optimiser"}
    assert near_limit(tasks) == {}
    assert disagreeing(tasks) == []
    assert evolution(tasks) is True
    with tasks.database() as database:
        [(changes, metrics)] = database.execute(
            "SELECT changes, performance_metrics FROM agent_versions JOIN agents ON agent_id = id WHERE name = %s "
            "ORDER BY version_number DESC LIMIT 1",
            (next(iter(before)),),
        ).fetchall()
    assert "shorten_text" in changes
    assert metrics["optimised_by"] == run
    assert metrics["bytes_after"] < metrics["bytes_before"]

    status, told = agents(tasks, "undo", run)
    assert status == 0
    assert "dry run" in told
    status, told = agents(tasks, "undo", run, "--run", "--json")
    assert status == 0
    assert set(json.loads(told)["not_put_back"].values()) == {""}
    assert near_limit(tasks) == before
    assert disagreeing(tasks) == []
    assert evolution(tasks) is True
    with pytest.raises(InputError, match="Nothing is kept of 'nobody'"):
        agents(tasks, "undo", "nobody")
    with pytest.raises(InputError, match="takes a run's id"):
        agents(tasks, "undo")

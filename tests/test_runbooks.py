"""The runbooks, followed word for word: their commands are taken from the page and run by a shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.object_store import REGION
from sandbox.system import Sandbox
from tdev_operators.core.health.run import run_health_check
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.connections import EnvironmentConnections
from tests.core.backup.whole_sets import House

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "worst-day.md").read_text(encoding="utf-8")


@pytest.fixture
def house():
    with Sandbox.start("small", engine=False, second_side=True) as system:
        house = House(system, "t-developer")
        house.take()
        assert house.verify().proven
        yield house


def follow(house, title):
    """Run the commands of a section, one by one; return what each printed."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    objects = house.system.objects
    environment = {
        **os.environ,
        **house.system.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL_S3": objects.endpoint_url,
        "AWS_ACCESS_KEY_ID": objects.access_key,
        "AWS_SECRET_ACCESS_KEY": objects.secret_key,
        "AWS_DEFAULT_REGION": REGION,
    }
    printed = []
    for command in commands:
        ended = subprocess.run(
            ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        sys.stdout.write(f"$ {command}\n{ended.stdout}{ended.stderr}\n")  # `pytest -s` shows the transcript
        printed.append((command, ended.returncode, ended.stdout + ended.stderr))
    return printed


def empty(house, bucket):
    client = house.client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=entry["Key"])
    client.delete_bucket(Bucket=bucket)


def red(house, area):
    settings = load_settings(house.system.settings_file)
    ports = system_ports(settings, EnvironmentConnections(house.system.environment))
    outcome = run_health_check(ports, settings)
    return [one.summary for one in outcome.results if one.verdict.is_red and one.check.startswith(area)]


def we_lost_the_database(house):
    house.system.api.stop()
    with house.system.source.connect("postgres") as server:
        server.execute("DROP DATABASE t_developer WITH (FORCE)")
    which, restored = follow(house, "We lost the database")
    assert which[1] == restored[1] == 0
    assert "equal to the source at the snapshot" in restored[2]
    house.system.api.start()
    assert red(house, "database.") == red(house, "api.") == []


def someone_deleted_a_bucket(house):
    empty(house, "t-developer-agents")
    made, planned, restored, again = follow(house, "Someone deleted a bucket")
    assert [step[1] for step in (made, planned, restored, again)] == [0, 0, 0, 0]
    assert "missing: written" in planned[2]
    assert "0 objects (0.0 MB) to write" in again[2]
    assert red(house, "agents.") == []


def the_region_is_gone(house):
    house.system.source.kill()
    house.system.api.kill()
    rehearsed, done = follow(house, "The region is gone")
    assert rehearsed[1] == done[1] == 0
    assert "first does not answer" in rehearsed[2]
    assert "OK       failover.end" in done[2]
    with house.system.second.standby.connect("t_developer") as primary:
        assert primary.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        assert primary.execute("SELECT count(*) > 0 FROM agents").fetchone() == (True,)


def the_backup_bucket_is_gone(house):
    empty(house, "t-developer-backups")
    made, listed = follow(house, "The backup bucket is gone")
    assert made[1] == 0
    assert "0 sets; none is PROVEN." in listed[2]
    assert 'airflow dags trigger tdev_weekly --conf \'{"items": ["full_backup"]}\'' in PAGE


@pytest.mark.faults
def test_each_runbook_ends_well_when_only_its_words_are_followed(house):
    for runbook in (we_lost_the_database, someone_deleted_a_bucket, the_region_is_gone, the_backup_bucket_is_gone):
        runbook(house)

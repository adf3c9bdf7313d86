"""`tdev backup` over a real store, with connections from the environment and nothing else."""

import argparse
import io
import json
import subprocess
import sys
from datetime import timedelta

import pytest

from tdev_operators.cli import backup as command
from tdev_operators.cli.main import main
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.errors import InputError, SetupMissingError
from tests.backup_sets import NINE_PM, PACK, attested, complete_set, open_store
from tests.records import settings


@pytest.fixture
def sets(s3_server, bucket):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield Repository(store, bucket, "app")


@pytest.fixture
def tdev(sets, s3_server):
    connection = {
        "conn_type": "aws",
        "login": s3_server.access_key,
        "password": s3_server.secret_key,
        "extra": {"region_name": "us-east-1", "endpoint_url": s3_server.endpoint_url},
    }
    shipped = settings()
    ours = shipped.model_copy(
        update={
            "system": shipped.system.model_copy(update={"name": "app"}),
            "buckets": shipped.buckets.model_copy(update={"backups": sets.bucket}),
        }
    )

    def run(*words, now=None, environment=None):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        out = io.StringIO()
        status = command.backup(
            parser.parse_args(words),
            environment={"AIRFLOW_CONN_TDEV_AWS": json.dumps(connection)} if environment is None else environment,
            settings=ours,
            now=now,
            out=out,
        )
        return status, out.getvalue()

    return run


def proven(sets, holder, **more):
    set_id, digest = complete_set(sets, holder, **more)
    sets.attest(attested("proven", set_id, digest, tables=12))
    return set_id


def test_an_empty_bucket_has_nothing_proven(tdev):
    status, text = tdev("list")
    assert status == 1
    assert text.splitlines()[-1] == "0 sets; none is PROVEN."


def test_sets_are_listed_the_newest_first(sets, tdev):
    old = proven(sets, "run-1")
    new, _ = complete_set(sets, "run-2")
    staged = sets.begin("run-3", full=False, database_now=NINE_PM).set_id
    sets.store.put(sets.bucket, f"{sets.folder(new)}proven.json", attested("proven", new, "0" * 64).to_bytes())
    status, text = tdev("list", now=NINE_PM + timedelta(hours=3))
    lines = text.splitlines()
    assert status == 0
    assert lines[0].split("  ")[0] == "SET"
    assert [line.split()[:2] for line in lines[1:4]] == [[staged, "STAGED"], [new, "COMPLETE"], [old, "PROVEN"]]
    assert lines[4] == f"Note: proven.json of {new} counts for nothing: it is bound to another manifest."
    assert lines[5] == f"3 sets; the newest PROVEN one, {old}, goes back 3 h."
    status, text = tdev("list", "--json")
    assert [(one["set_id"], one["state"]) for one in json.loads(text)] == [
        (staged, "STAGED"),
        (new, "COMPLETE"),
        (old, "PROVEN"),
    ]


def test_a_set_is_shown_by_any_of_its_names(sets, tdev):
    old = proven(sets, "run-1")
    new, _ = complete_set(sets, "run-2")
    for which, set_id in ((old, old), ("1", old), ("latest", old), ("newest", new), ("000002", new)):
        status, text = tdev("show", which)
        assert (status, text.split()[0]) == (0, set_id)
    assert "database app (maintained): 12 tables, 1,000 rows, 1.0 MB stored as 0.2 MB in 2 files" in tdev("show")[1]
    assert "bucket agents: 5 objects, 0.0 MB; 1 pack and 0 large objects of its own" in tdev("show")[1]
    assert "proven at 2026-11-25 21:00 UTC: tables 12" in tdev("show")[1]
    shown = json.loads(tdev("show", "--json")[1])
    assert (shown["manifest"]["set_id"], shown["attestations"]["proven"]["facts"]) == (old, {"tables": 12})
    for nonsense in ("7", "9" * 5000, "no-such", "000009-20261125T210000Z-0f3a9c"):
        with pytest.raises(InputError):
            tdev("show", nonsense)


def test_a_staged_set_shows_that_nothing_is_known(sets, tdev):
    sets.begin("run-1", full=False, database_now=NINE_PM)
    assert "It has no manifest that can be read" in tdev("show", "1")[1]
    with pytest.raises(InputError, match="is PROVEN"):
        tdev("show")
    with pytest.raises(InputError, match="nothing to verify"):
        tdev("verify", "1")


def test_verify_reads_the_set_back(sets, tdev):
    set_id, _ = complete_set(sets, "run-1")
    status, text = tdev("verify")
    assert (status, text.startswith(f"{set_id} can be read back whole: objects 6, bytes ")) == (0, True)
    assert sets.get(set_id).state is State.COMPLETE, "looking changes nothing"
    assert tdev("verify", "--attest")[0] == 0
    assert sets.get(set_id).state is State.READABLE
    sets.store.put(sets.bucket, sets.folder(set_id) + PACK, b"damaged")
    status, text = tdev("verify", "latest" if sets.newest() else set_id)
    assert (status, f"{set_id}/{PACK} has 7 bytes" in text) == (1, True)
    status, text = tdev("verify", "--json")
    assert (status, json.loads(text)["readable"]) == (1, False)


def test_the_plan_of_retention_is_shown_and_nothing_is_removed(sets, tdev):
    ids = [proven(sets, f"run-{night}", at=NINE_PM - timedelta(days=9 - night)) for night in range(10)]
    now = sets.store.server_time()
    status, text = tdev("plan-retention", now=now)
    assert status == 0
    assert text.splitlines()[0].startswith(f"  {ids[-1]}  PROVEN")
    assert text.splitlines()[-1] == "Nothing goes."
    status, text = tdev("plan-retention", "--json", now=now + timedelta(days=1))
    plan = json.loads(text)
    assert (status, plan["remove"], "our clock says" in plan["refusal"]) == (1, [], True)
    assert len(sets.sets()) == 10


def test_a_missing_connection_is_said(tdev):
    with pytest.raises(SetupMissingError, match="tdev_aws"):
        tdev("list", environment={})


def test_it_is_a_command_of_tdev_and_needs_no_airflow(capsys):
    with pytest.raises(SystemExit):
        main(["backup", "--help"])
    assert "plan-retention" in capsys.readouterr().out
    code = (
        "import sys; from tdev_operators.cli.main import main; code = main(['backup', 'list']); "
        "assert not [m for m in sys.modules if m.split('.')[0] == 'airflow']; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={})
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("tdev backup: The connection tdev_aws is missing")

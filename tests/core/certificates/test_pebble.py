"""A real ACME server (Let's Encrypt's Pebble) and a real client (certbot): renewed, reloaded, served."""

import json
import os
import ssl
import sys
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.processes import free_port
from tdev_operators.core.commands import run
from tdev_operators.core.verdicts import Verdict
from tests.core.certificates.conftest import DAY, NAME
from tests.debian import needs_debian

CERTBOT = Path(sys.executable).with_name("certbot")


class Pebble:
    """The authority. It takes every challenge for met, and does not sleep; its roots are new with each start."""

    def __init__(self, supervisor, folder, authority, now):
        self.port, self.management = free_port(), free_port()
        key, mark, chain = (
            authority.issue("localhost", since=now - DAY, until=now + DAY).decode().partition("-----BEGIN CERTIFICATE")
        )
        (folder / "pebble.key").write_text(key)
        (folder / "pebble.pem").write_text(mark + chain)
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(folder / "pebble.pem"),
            "privateKey": str(folder / "pebble.key"),
            "httpPort": free_port(),
            "tlsPort": free_port(),
            "ocspResponderURL": "",
        }
        self.http_port = config["httpPort"]
        (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        self._trusting = ssl.create_default_context(cadata=authority.root_pem.decode())
        self._supervisor, self._name = supervisor, f"pebble-{self.port}"
        supervisor.spawn(
            self._name,
            ["pebble", "-config", str(folder / "pebble.json")],
            env={"PEBBLE_VA_ALWAYS_VALID": "1", "PEBBLE_VA_NOSLEEP": "1", "PATH": os.environ["PATH"]},
            ready=self._answers,
        )

    @property
    def root_pem(self):
        with urllib.request.urlopen(
            f"https://localhost:{self.management}/roots/0", context=self._trusting, timeout=5
        ) as answer:
            return answer.read()

    def stop(self):
        self._supervisor.stop(self._name)

    def _answers(self):
        with suppress(OSError):
            return bool(self.root_pem)
        return False


@pytest.fixture
def acme(world, supervisor):
    """The world's certificate is one of Pebble's, by certbot."""
    needs_debian("pebble", "/usr/bin/pebble")
    pebble = Pebble(supervisor, world.folder, world.authority, world.now)
    (world.folder / "ca.pem").write_bytes(pebble.root_pem)
    (world.folder / "acme-ca.pem").write_bytes(world.authority.root_pem)
    home = world.folder / "certbot"
    places = ["--config-dir", str(home), "--work-dir", str(home / "work"), "--logs-dir", str(home / "logs")]
    bundle = f"REQUESTS_CA_BUNDLE={world.folder / 'acme-ca.pem'}"
    first = ["certonly", "--standalone", "--http-01-port", str(pebble.http_port), "--non-interactive", "--agree-tos"]
    server = ["--server", f"https://localhost:{pebble.port}/dir", "--register-unsafely-without-email", "-d", NAME]
    ended = run(["env", bundle, str(CERTBOT), *first, *server, *places], timeout_seconds=60)
    assert ended.exit_status == 0, ended.stderr
    live = home / "live" / NAME
    world.server.file, world.server.key = live / "fullchain.pem", live / "privkey.pem"
    world.server.load()
    again = ("renew", "--cert-name", NAME, "--non-interactive", "--no-random-sleep-on-renew")
    world.change(
        file=str(world.server.file),
        key=str(world.server.key),
        renew=("env", bundle, str(CERTBOT), *again, "--force-renewal", *places),
    )
    world.live, world.now = live, datetime.now(UTC) + timedelta(minutes=1)  # Pebble dates nothing back
    yield pebble, world
    pebble.stop()


@pytest.mark.timeout(240)
def test_renewed_by_certbot_at_a_real_acme_server_and_served(acme):
    pebble, world = acme
    before = world.served()
    assert world.one().verdict is Verdict.OK, "it lives for years: nothing is due"
    assert world.served() == before

    result = world.one(only=NAME, forced=True)
    assert result.verdict is Verdict.OK, result
    after = world.served()
    assert after == world.serial(world.live) != before
    assert result.summary.startswith(
        f"Renewed: serial …{f'{before:x}'[-8:]} before, …{f'{after:x}'[-8:]} is served now."
    )
    assert not list(world.live.glob("*tdev-before"))

    world.change(renew=tuple(word for word in world.entry.renew if word != "--force-renewal"))
    result = world.one(only=NAME, forced=True)
    assert result.verdict is Verdict.CRITICAL, "certbot says that nothing is due, with status 0"
    assert "ended with status 0 and renewed nothing" in result.summary

    pebble.stop()
    world.change(renew=(*world.entry.renew, "--force-renewal"))
    result = world.one(only=NAME, forced=True)
    assert result.verdict is Verdict.CRITICAL
    assert "ended with status 1 and renewed nothing" in result.summary
    assert world.served() == world.serial(world.live) == after

"""Looks at hosts: ports, packages, secrets; against this very machine and against captured answers."""

import socket
import time
from pathlib import Path

import pytest

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.security.audit.looks import open_ports, packages, readable_secrets
from tdev_operators.core.verdicts import Verdict
from tests.core.security.audit.conftest import TUESDAY


class Answering:
    """A host of given answers, by the first word of a command."""

    name = "edge"

    def __init__(self, **answers):
        self.answers = answers

    def run(self, argv, **_):
        answer = self.answers[argv[0].replace("-", "_")]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, CommandOutput) else CommandOutput(0, answer, "")


def test_a_port_that_is_opened_here_is_seen_and_loopback_is_not(place):
    with socket.create_server(("0.0.0.0", 0)) as everywhere, socket.create_server(("127.0.0.1", 0)) as here:
        looked = open_ports.look(place.ports, place.settings, TUESDAY)
        assert f"edge: tcp 0.0.0.0:{everywhere.getsockname()[1]}" in looked.facts
        assert not any(str(here.getsockname()[1]) in line for line in looked.facts)
    assert looked.seen == ["edge"]


def test_addresses_of_both_kinds_are_read():
    table = (
        "  sl  local_address rem_address   st\n"
        "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A x\n"
        "   1: 0000000000000000FFFF00000200000A:0050 00000000000000000000000000000000:0000 0A x\n"
        "   2: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A x\n"
        "   3: B80D0120000000000000000001000000:0016 00000000000000000000000000000000:0000 01 x\n"
    )
    assert list(open_ports.listening(table, "0A")) == ["[::]:443", "10.0.0.2:80"]


class Tables(Answering):
    """A host whose tables of sockets are told one by one."""

    def run(self, argv, **_):
        return self.answers[argv[1].rpartition("/")[2]]


def test_every_table_has_to_be_told_whole_and_a_machine_may_have_no_ipv6(place):
    good, absent = CommandOutput(0, "head\n", ""), CommandOutput(1, "", "cat: No such file or directory")
    place.host = Tables(tcp=good, tcp6=absent, udp=good, udp6=absent)
    assert open_ports.look(place.ports, place.settings, TUESDAY).seen == ["edge"]
    for broken in ({"udp": absent}, {"tcp6": CommandOutput(0, "head\n", "", truncated=True)}):
        place.host = Tables(**{**dict.fromkeys(("tcp", "tcp6", "udp", "udp6"), good), **broken})
        assert open_ports.look(place.ports, place.settings, TUESDAY).skipped


def test_a_host_that_tells_nothing_is_a_gap(place):
    place.host = Answering(cat=CommandOutput(1, "", "no such file"))
    assert open_ports.look(place.ports, place.settings, TUESDAY).skipped
    place.host = Answering(cat=TargetUnreachableError("The host edge is away."))
    assert open_ports.look(place.ports, place.settings, TUESDAY).skipped == {"edge": "The host edge is away."}


UPGRADES = """Reading package lists...
Inst libssl3 [3.0.11-1~deb12u2] (3.0.15-1~deb12u1 Debian-Security:12/stable-security [amd64])
Inst base-files [12.4+deb12u5] (12.4+deb12u8 Debian:12.8/stable [amd64])
Inst openssl [3.0.2-0ubuntu1.10] (3.0.2-0ubuntu1.18 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Inst linux-image-6.1.0-27-amd64 (6.1.115-1 Debian-Security:12/stable-security [amd64])
Conf libssl3 (3.0.15-1~deb12u1 Debian-Security:12/stable-security [amd64])
"""


def test_security_updates_that_wait_are_told_by_name(place):
    place.host = Answering(find=f"{TUESDAY.timestamp() - 3600} 1.0 ", apt_get=UPGRADES)
    looked = packages.look(place.ports, place.settings, TUESDAY)
    assert looked.found == [
        (
            Verdict.WARNING,
            "3 security updates wait on edge: libssl3, openssl, linux-image-6.1.0-27-amd64.",
        )
    ]
    assert "edge: libssl3 3.0.11-1~deb12u2 -> 3.0.15-1~deb12u1" in looked.facts
    assert looked.figures[0].value == 3


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"find": f"{TUESDAY.timestamp() - 5 * 86_400} "}, "5 days old"),
        ({"find": ""}, "has no lists of security updates"),
        ({"find": CommandOutput(1, "", "find: no such file")}, "has no lists of security updates"),
        ({"find": f"{TUESDAY.timestamp()} ", "apt_get": CommandOutput(100, "", "E: broken")}, "ended with status 100"),
    ],
)
def test_old_lists_and_a_broken_apt_prove_nothing(place, answers, why):
    place.host = Answering(**answers)
    looked = packages.look(place.ports, place.settings, TUESDAY)
    assert why in looked.skipped["edge"]
    assert looked.seen == []


@pytest.mark.skipif(not Path("/usr/bin/apt-get").exists(), reason="NOT RUN: needs Debian's apt-get")
def test_this_machines_own_apt_is_understood(place, tmp_path):
    (tmp_path / "x-security_Release").touch()
    lists = ("find", str(tmp_path), "-maxdepth", "1", "-name", "*security*Release", "-printf", "%T@ ")
    place.audit_settings(package_lists=lists)
    looked = packages.look(place.ports, place.settings, TUESDAY.fromtimestamp(time.time(), TUESDAY.tzinfo))
    assert looked.seen == ["edge"], looked.skipped


@pytest.fixture
def folder(place, tmp_path):
    place.audit_settings(secret_folders=(str(tmp_path),))
    logs = place.settings.logs.model_copy(update={"directory": str(tmp_path)})
    place.settings = place.settings.model_copy(update={"logs": logs})
    return tmp_path


SECRETS = {
    "key.pem": "-----BEGIN RSA PRIVATE KEY-----\n",
    "aws.log": "using AKIAABCDEFGHIJKLMNOP now\n",
    "app.conf": "db_password: hunter2hunter2\n",
    "dsn.ini": "url = postgresql://app:s3cretpw@db/x\n",
    "words.conf": "password=SuperSecret123\n",
    "jwt.log": "Authorization: Bearer eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4\n",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_everybody_may_read_is_told_by_its_file_and_never_shown(place, folder, name):
    (folder / name).write_text(SECRETS[name])
    (folder / name).chmod(0o644)
    (folder / "harmless.conf").write_text("password_encryption = scram-sha-256\ntoken_count = 12\n")
    looked = readable_secrets.look(place.ports, place.settings, TUESDAY)
    assert looked.canary_found
    [(verdict, sentence)] = looked.found
    assert verdict is Verdict.CRITICAL
    assert sentence.endswith(f"looks like a secret in {folder / name}.")
    assert not any(SECRETS[name].split()[-1] in text for text in (sentence, *looked.facts))
    (folder / name).chmod(0o640)
    assert readable_secrets.look(place.ports, place.settings, TUESDAY).found == []
    (folder / name).chmod(0o644)
    place.audit_settings(secret_files_accepted=(str(folder / name),))
    assert readable_secrets.look(place.ports, place.settings, TUESDAY).found == []


def test_every_form_is_in_the_canary():
    import re

    for pattern in readable_secrets.PATTERNS:
        assert any(re.search(pattern, line, re.IGNORECASE) for line in readable_secrets.CANARY), pattern
    assert len(readable_secrets.CANARY) == len(readable_secrets.PATTERNS)


def test_a_grep_that_finds_nothing_is_found_out(place, folder):
    place.host = Answering(grep="0\n", find="")
    looked = readable_secrets.look(place.ports, place.settings, TUESDAY)
    assert looked.canary_found is False


def test_a_folder_that_is_not_there_is_a_gap_and_a_link_is_followed(place, folder):
    place.audit_settings(secret_folders=(str(folder), "/no/such/folder"))
    looked = readable_secrets.look(place.ports, place.settings, TUESDAY)
    assert looked.skipped == {"/no/such/folder on edge": "it is not there, or is no folder"}
    (folder / "real").mkdir()
    (folder / "real" / "key.pem").write_text(SECRETS["key.pem"])
    (folder / "link").symlink_to(folder / "real")
    place.audit_settings(secret_folders=(str(folder / "link"),))
    place.settings = place.settings.model_copy(
        update={"logs": place.settings.logs.model_copy(update={"directory": str(folder / "link")})}
    )
    assert readable_secrets.look(place.ports, place.settings, TUESDAY).found


def test_a_file_too_large_and_a_search_that_broke_off_are_gaps(place, folder):
    (folder / "large.log").write_bytes(b"x" * 5000)
    place.audit_settings(secret_folders=(str(folder),), secret_file_kb=2)
    looked = readable_secrets.look(place.ports, place.settings, TUESDAY)
    assert looked.skipped == {"large files of edge": f"above security.audit.secret_file_kb: {folder}/large.log"}
    canary = f"{len(readable_secrets.CANARY)}\n"
    for broken in (CommandOutput(-9, f"{folder}\n", ""), CommandOutput(1, f"{folder}\n", "find: I/O error")):
        place.host = Answering(grep=canary, find=broken)
        assert "edge" in readable_secrets.look(place.ports, place.settings, TUESDAY).skipped
    gone = CommandOutput(1, f"{folder}\n", "grep: /x/a.log: No such file or directory\nfind: '/y': Permission denied")
    place.host = Answering(grep=canary, find=gone)
    assert "edge" not in readable_secrets.look(place.ports, place.settings, TUESDAY).skipped

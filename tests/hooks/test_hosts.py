"""Commands on hosts: here and over a real sshd, by the same expectations; AWS SSM against moto."""

import getpass
import gzip
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from sandbox.processes import Supervisor, answers_at, free_port
from tdev_operators.core.errors import (
    AccessDeniedError,
    CommandFailedError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.core.ports import CommandOutput, Host, StreamingHost
from tdev_operators.core.settings import HostSettings
from tdev_operators.hooks.connections import ConnectionFacts, EnvironmentConnections
from tdev_operators.hooks.hosts import host_of
from tdev_operators.hooks.hosts.local import LocalHost
from tdev_operators.hooks.hosts.ssh import SshHost, _converse
from tdev_operators.hooks.hosts.ssm import STDOUT_LIMIT_CHARACTERS, SsmHost
from tests.debian import needs_debian, not_run
from tests.served_logs import lines_written_to

Said = Callable[[BaseException], str]
pytestmark = pytest.mark.xdist_group("sshd")  # /run/sshd is one for the whole machine: who leaves first would take it
SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True, slots=True)
class Sshd:
    """A real sshd on loopback that lets the current user in with one key."""

    port: int
    host_key: str
    private_key: str

    def facts(self, **extra: Any) -> ConnectionFacts:
        return ConnectionFacts(
            "tdev_host_1",
            "ssh",
            host="127.0.0.1",
            port=self.port,
            login=getpass.getuser(),
            extra={"host_key": self.host_key, "private_key": self.private_key, **extra},
        )


def _keygen(file: Path, kind: str = "ed25519", passphrase: str = "") -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(file)], check=True, stdin=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    needs_debian("openssh-server", SSHD)
    folder = tmp_path_factory.mktemp("sshd")
    _keygen(folder / "host")
    _keygen(folder / "user")
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    port = free_port()
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        # By default it drops new ones at random while more than ten have not logged in yet.
        "KbdInteractiveAuthentication no\nMaxStartups 1000\n"
    )
    with Supervisor() as supervisor:  # a killed run of tests leaves no server behind
        separation = Path("/run/sshd")  # sshd wants it when it runs as root; Debian's service would make it
        if os.getuid() == 0 and not separation.exists():
            separation.mkdir(mode=0o755)
            supervisor.add_folder(separation)
        supervisor.spawn("sshd", [SSHD, "-D", "-e", "-f", folder / "config"], ready=lambda: answers_at(port))
        yield Sshd(port, (folder / "host.pub").read_text().strip(), (folder / "user").read_text())


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest) -> Iterator[StreamingHost]:
    """Each host that runs real processes: what holds for one holds for the other."""
    if request.param == "local":
        yield LocalHost("here")
        return
    ssh = SshHost("t-developer-1", request.getfixturevalue("sshd").facts())
    yield ssh
    ssh.close()


def test_both_streams_and_the_exit_status_come_back(host: StreamingHost) -> None:
    output = host.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert output == CommandOutput(7, "out\n", "err\n", truncated=False)


@pytest.mark.parametrize(
    "argument", ["two words", "$HOME `id` $(id)", "'\"\\", "*", "a;b|c&d\ne", "", "ü€", "-n", "!x #"]
)
def test_arguments_arrive_as_they_are(host: Host, argument: str) -> None:
    assert host.run(["printf", "<%s>", argument]).stdout == f"<{argument}>"


def test_input_arrives_whole_while_output_flows(host: Host) -> None:
    text = "".join(f"line {number} ü\n" for number in range(30_000))
    output = host.run(["cat"], stdin=text)
    assert output.stdout == text


def test_a_command_that_reads_no_input_is_no_fault(host: Host) -> None:
    assert host.run(["true"], stdin="x" * 1_000_000).exit_status == 0


def test_much_output_on_both_streams_is_cut_drained_and_said(host: StreamingHost) -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2; echo $? > /dev/null"
    output = host.run(["sh", "-c", script])
    assert output.truncated
    assert (len(output.stdout), len(output.stderr), output.exit_status) == (1024 * 1024, 1024 * 1024, 0)


def test_a_stream_comes_whole_and_needs_no_memory_for_it(host: StreamingHost) -> None:
    with host.stream(["head", "-c", "30000000", "/dev/zero"]) as chunks:
        sizes = [len(chunk) for chunk in chunks]
    assert sum(sizes) == 30_000_000
    assert max(sizes) <= 1024 * 1024


def test_bytes_of_a_stream_arrive_as_they_are(host: StreamingHost, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "a b").write_bytes(data)
    with host.stream(["cat", f"{tmp_path}/a b"]) as chunks:
        assert b"".join(chunks) == data


def test_a_stream_that_ends_badly_says_so_at_its_end(host: StreamingHost) -> None:
    got: list[bytes] = []
    with (
        host.stream(["sh", "-c", "echo begun; echo no room >&2; exit 3"]) as chunks,
        pytest.raises(CommandFailedError, match=r"^The command sh .*ended with status 3: .*no room"),
    ):
        got.extend(chunks)
    assert b"".join(got) == b"begun\n"


def test_of_what_a_failed_stream_said_the_cause_is_told_and_the_end(host: StreamingHost) -> None:
    with (
        host.stream(["sh", "-c", "echo no room >&2; echo more >&2; echo exiting now. >&2; exit 2"]) as chunks,
        pytest.raises(CommandFailedError, match=r"ended with status 2: no room \.\.\. exiting now\.$"),
    ):
        list(chunks)


def test_much_on_the_other_stream_holds_a_stream_up_in_no_way(host: StreamingHost) -> None:
    with host.stream(["sh", "-c", "head -c 3000000 /dev/zero >&2; echo well"]) as chunks:
        assert b"".join(chunks) == b"well\n"


def test_a_stream_of_a_command_that_is_not_there_is_an_input_error(host: StreamingHost) -> None:
    with (
        pytest.raises(InputError, match=r"^There is no command no-such-command-here on th"),
        host.stream(["no-such-command-here"]) as chunks,
    ):
        list(chunks)


def test_who_stops_reading_a_stream_stops_its_command(host: StreamingHost, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with host.stream(["sh", "-c", f"echo $$ > {pid}; exec cat /dev/zero"]) as chunks:
        assert next(chunks)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid.read_text().strip()}").exists():
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.05)


def test_a_stream_that_goes_on_too_long_is_ended(host: StreamingHost) -> None:
    with (
        pytest.raises(TargetTimeoutError, match=r"^The command sh .*did not end within 1 s and was killed"),
        host.stream(["sh", "-c", "echo x; sleep 60"], timeout_seconds=1) as chunks,
    ):
        assert list(chunks) == [b"x\n"]


def test_logs_are_read_over_it_and_a_link_is_not_followed(host: StreamingHost, tmp_path: Path) -> None:
    from tdev_operators.core.logs.counting import Window
    from tdev_operators.core.logs.patterns import Patterns
    from tdev_operators.core.logs.reading import Job, read_host

    line = "2026-11-23T09:00:00.123Z ERROR engine no room for {}\n"
    text = "".join(line.format(number) for number in range(60_000))
    (tmp_path / "a b.log").write_text(text)
    (tmp_path / "old.log.2.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "link.log").symlink_to("/etc/passwd")
    job = Job(Patterns.of({"errors": "ERROR"}), Window(0, 10**9), (b"an ERROR",), time.monotonic() + 60)
    source = read_host(host, str(tmp_path), (), job)
    assert source.skipped == {}
    assert {name[-12:]: seen.tally.total("errors").lines for name, seen in source.read.items()} == {
        f"{tmp_path}: a b.log"[-12:]: 60_000,
        f"{tmp_path}: old.log.2.gz"[-12:]: 60_000,
    }
    again = read_host(host, str(tmp_path), source.tokens, job)
    assert {seen.lines for seen in again.read.values()} == {0}
    with pytest.raises(InputError, match="cannot be read"):
        read_host(host, f"{tmp_path}/missing", (), job)


def test_rotation_is_put_on_it(host: StreamingHost, tmp_path: Path) -> None:
    from tdev_operators.core.logs.rotation.installing import Installation
    from tdev_operators.core.settings import load_settings
    from tdev_operators.core.sql import include_dir

    needs_debian("logrotate", "/usr/sbin/logrotate")
    if os.geteuid() != 0:
        not_run("only root may install what logrotate reads")
    etc, logs = tmp_path / "logrotate.d", tmp_path / "logs"
    for folder in (tmp_path, etc, logs):
        folder.mkdir(mode=0o755, exist_ok=True)
        folder.chmod(0o755)
    (tmp_path / "main").write_text(f"include {etc}\n")
    (tmp_path / "main").chmod(0o644)
    (logs / "api.log").write_text("2026-11-23T09:00:00Z INFO api a line\n")
    here = {"file": f"{etc}/t-developer", "main": f"{tmp_path}/main", "state": f"{tmp_path}/state", "reload": ("true",)}
    rules = load_settings(include_dir() / "tdev.toml").logs.rotation
    rules = rules.model_copy(update={**here, "create_user": "root", "create_group": "root", "as_root": ("env",)})
    quiet: Any = {"note": lambda *_: None, "progress": lambda _: None, "check": lambda: None}
    installation = Installation(host, str(logs), rules, **quiet)
    assert installation.carry_out().changed
    with lines_written_to(logs / "api.log"):
        told = installation.prove().told[0]
    # Where process 1 cannot be seen, as in some containers, the sizes say it.
    assert "no process holds the old one" in told or "no process that can be seen holds the old one" in told
    assert not installation.carry_out().changed


def test_messages_come_in_english(host: Host) -> None:
    assert "No such file or directory" in host.run(["ls", "/no/such/file"]).stderr


def test_a_command_that_does_not_exist_is_an_input_error(host: Host) -> None:
    with pytest.raises(InputError, match=r"^There is no command no-such-command-here on th"):
        host.run(["no-such-command-here", "x"])


def test_an_exit_status_of_127_of_the_command_itself_is_returned(host: Host) -> None:
    assert host.run(["sh", "-c", "exit 127"]).exit_status == 127


def test_nothing_is_streamed_through_systems_manager() -> None:
    with pytest.raises(SetupMissingError, match=r"cannot stream what dd prints; .* \[\[logs.sources\]\]"):
        _ssm_host(_Agent({})).stream(["dd"])


def test_the_time_limit_kills_the_command_and_its_children(host: Host, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = (
        f'trap "" TERM HUP; sh -c \'trap "" TERM HUP; echo $$ >> {pids}; while :; do sleep 0.1; done\' & '
        f"echo $$ >> {pids}; while :; do sleep 0.1; done"
    )
    started = time.monotonic()
    with pytest.raises(TargetTimeoutError, match=r"^The command sh .*did not end within 1 s and was killed"):
        host.run(["sh", "-c", script], timeout_seconds=1)
    assert time.monotonic() - started < 12
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split()):
        assert time.monotonic() < deadline, "a process outlived its time limit"
        time.sleep(0.05)


def test_a_daemon_left_behind_does_not_hold_us(host: Host, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    try:
        script = f"setsid sh -c 'echo $$ > {pid}; exec sleep 60' & while [ ! -s {pid} ]; do sleep 0.05; done; echo up"
        assert host.run(["sh", "-c", script]).stdout == "up\n"
        assert time.monotonic() - started < 10
    finally:
        subprocess.run(["kill", pid.read_text().strip()], check=False)


def test_many_commands_at_once(host: Host) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda number=number: answers.append(host.run(["echo", str(number)]).stdout))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(f"{number}\n" for number in range(20))


def test_a_nul_character_is_an_input_error(host: Host) -> None:
    with pytest.raises(InputError, match="NUL"):
        host.run(["echo", "a\0b"])


# --- SSH: who is let in, and who is believed ---


def test_a_connection_is_shared_and_made_anew_when_it_breaks(sshd: Sshd) -> None:
    host = SshHost("t-developer-1", sshd.facts())
    assert len({host.run(["printenv", "SSH_CONNECTION"]).stdout for _ in range(3)}) == 1
    host._client.get_transport().sock.shutdown(socket.SHUT_RDWR)
    assert host.run(["echo", "again"]).stdout == "again\n"
    host.close()


def test_a_connection_that_breaks_in_the_middle_is_unreachable(sshd: Sshd) -> None:
    host = SshHost("t-developer-1", sshd.facts())
    host.run(["true"])
    cut = threading.Timer(0.5, lambda: host._client.get_transport().sock.shutdown(socket.SHUT_RDWR))
    cut.start()
    started = time.monotonic()
    with pytest.raises(TargetUnreachableError, match=r"^The host t-developer-1 \(127\.0\.0\.1\) cannot be reached"):
        host.run(["sleep", "3"])
    assert time.monotonic() - started < 10
    host.close()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("passphrase", ["", "a passphrase"])
def test_keys_of_every_kind_are_read(sshd: Sshd, tmp_path: Path, kind: str, passphrase: str) -> None:
    _keygen(tmp_path / "key", kind, passphrase)
    facts = sshd.facts(key_file=str(tmp_path / "key"), private_key="", private_key_passphrase=passphrase or None)
    with pytest.raises(AccessDeniedError, match="refused the user"):  # read and offered, but not authorised
        SshHost("t-developer-1", facts).run(["true"])


def test_a_refused_key_is_tried_once_and_never_shown(sshd: Sshd, tmp_path: Path, everything_said: Said) -> None:
    _keygen(tmp_path / "key")
    secret = (tmp_path / "key").read_text()
    host = SshHost("t-developer-1", replace(sshd.facts(private_key=secret), password="Passw0rd-of-ours"))
    for _ in range(2):
        with pytest.raises(AccessDeniedError, match="mend login and key of the connection tdev_host_1") as caught:
            host.run(["true"])
        said = everything_said(caught.value) + repr(host)
        assert secret.splitlines()[1] not in said
        assert "Passw0rd-of-ours" not in said


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"private_key": "no key"}, "holds a private key that cannot be read"),
        ({"private_key": "", "key_file": "/no/such/key"}, "extra key_file that cannot be read"),
        ({"host_key": "nonsense"}, "extra host_key that is no key"),
        ({"host_key": "ssh-ed25519 AAAA"}, "extra host_key that is no key"),
    ],
)
def test_a_connection_that_cannot_work_says_why(sshd: Sshd, extra: dict[str, str], said: str) -> None:
    with pytest.raises(SetupMissingError, match=f"The connection tdev_host_1 .*{said}"):
        SshHost("t-developer-1", sshd.facts(**extra)).run(["true"])


def test_a_host_with_another_key_is_not_believed(sshd: Sshd, tmp_path: Path) -> None:
    _keygen(tmp_path / "other")
    facts = sshd.facts(host_key=(tmp_path / "other.pub").read_text())
    with pytest.raises(AccessDeniedError, match="presents another host key than the recorded one"):
        SshHost("t-developer-1", facts).run(["true"])


def test_an_unknown_host_is_refused_and_its_key_not_learnt(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("")
    facts = sshd.facts(known_hosts_file=str(known_hosts))
    facts = replace(facts, extra={key: value for key, value in facts.extra.items() if key != "host_key"})
    for _ in range(2):
        with pytest.raises(
            SetupMissingError, match=r"presents the unknown host key ssh-ed25519 SHA256:\S+; compare it"
        ):
            SshHost("t-developer-1", facts).run(["true"])
    assert known_hosts.read_text() == ""
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    host = SshHost("t-developer-1", facts)
    assert host.run(["echo", "in"]).stdout == "in\n"
    host.close()


def test_the_host_key_may_stand_as_ssh_keyscan_prints_it(sshd: Sshd) -> None:
    host = SshHost("t-developer-1", sshd.facts(host_key=f"[127.0.0.1]:{sshd.port} {sshd.host_key}"))
    assert host.run(["echo", "in"]).stdout == "in\n"
    host.close()


class _LateChannel:
    """A channel on which output, end and exit status arrive together, right after the streams were found empty."""

    closed = False

    def __init__(self) -> None:
        self.eof_received = False
        self._out = b""

    def recv_ready(self) -> bool:
        return bool(self._out)

    def recv_stderr_ready(self) -> bool:
        if not self.eof_received:
            self._out, self.eof_received = b"the answer\n", True
        return False

    def exit_status_ready(self) -> bool:
        return self.eof_received

    def recv(self, size: int) -> bytes:
        out, self._out = self._out, b""
        return out

    def recv_exit_status(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_output_that_arrives_with_the_exit_status_is_not_lost() -> None:
    channel: Any = _LateChannel()
    assert _converse(channel, "echo", b"").stdout == "the answer\n"


def test_a_host_that_is_down_is_unreachable(sshd: Sshd, free_port: int) -> None:
    with pytest.raises(TargetUnreachableError, match=r"^The host t-developer-1 \(127\.0\.0\.1\) cannot be reached"):
        SshHost("t-developer-1", replace(sshd.facts(), port=free_port)).run(["true"])


def _relay(line: socket.socket, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as behind:

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(65_536):
                    sink.sendall(data)

        back = threading.Thread(target=pump, args=(behind, line), daemon=True)
        back.start()
        pump(line, behind)


@pytest.mark.parametrize(("dropped", "outcome"), [(2, "reached"), (3, "unreachable")])
def test_a_caller_that_a_busy_sshd_drops_knocks_again(sshd: Sshd, listen: Any, dropped: int, outcome: str) -> None:
    def drop_first(line: socket.socket) -> None:
        if busy.accepted > dropped:
            _relay(line, sshd.port)
        else:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
            line.close()

    busy = listen(drop_first)
    facts = sshd.facts(host_key=sshd.host_key)
    host = SshHost("t-developer-1", replace(facts, port=busy.port))
    if outcome == "reached":
        assert host.run(["echo", "in"]).stdout == "in\n"
    else:
        with pytest.raises(TargetUnreachableError, match=r"cannot be reached"):
            host.run(["true"])
    assert busy.accepted == 3
    host.close()


def test_a_silent_host_costs_its_time_limit_once(sshd: Sshd, silent: Any) -> None:
    host = SshHost("t-developer-1", replace(sshd.facts(), port=silent.port), connect_timeout_seconds=1)
    started = time.monotonic()
    for _ in range(4):
        with pytest.raises(TargetTimeoutError, match="did not answer within 1 s"):
            host.run(["true"])
    assert time.monotonic() - started < 5


def test_what_is_no_sshd_is_unreachable(sshd: Sshd, listen: Any) -> None:
    def http(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        line.shutdown(socket.SHUT_RDWR)

    with pytest.raises(TargetUnreachableError):
        SshHost("t-developer-1", replace(sshd.facts(), port=listen(http).port)).run(["true"])


# --- AWS SSM ---


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    yield f"http://{address}:{port}"
    server.stop()


@pytest.fixture
def instance(aws: str) -> str:
    ec2: Any = boto3.client(
        "ec2", endpoint_url=aws, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    image = ec2.describe_images()["Images"][0]["ImageId"]
    return str(ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"])


def _ssm_facts(aws: str) -> ConnectionFacts:
    return ConnectionFacts("tdev_aws", "aws", login="AKIAEXAMPLE", password="S3cret", extra={"endpoint_url": aws})


def test_a_command_goes_through_systems_manager(aws: str, instance: str) -> None:
    host = SsmHost("t-developer-1", instance, _ssm_facts(aws))
    output = host.run(["df", "-P", "/var/my logs"], timeout_seconds=5, stdin="it's input")
    assert output.exit_status == 0
    sent = host._ssm.list_commands(InstanceId=instance)["Commands"][0]
    assert sent["DocumentName"] == "AWS-RunShellScript"
    assert sent["Parameters"]["commands"] == ["printf %s 'it'\"'\"'s input' | env LC_ALL=C df -P '/var/my logs'"]
    assert sent["Parameters"]["executionTimeout"] == ["5"]


class _Agent:
    """The answers of Systems Manager in a given order, as moto has no agent that runs anything."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = list(answers)
        self.cancelled: list[str] = []

    def send_command(self, **_: Any) -> dict[str, Any]:
        return {"Command": {"CommandId": "c-1"}}

    def get_command_invocation(self, **_: Any) -> dict[str, Any]:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def cancel_command(self, CommandId: str) -> None:  # noqa: N803 - as AWS spells it
        self.cancelled.append(CommandId)


def _ended(status: str = "Success", details: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "Status": status,
        "StatusDetails": details or status,
        "ResponseCode": 0,
        "StandardOutputContent": "",
        "StandardErrorContent": "",
        **fields,
    }


def _ssm_host(agent: _Agent) -> SsmHost:
    host = SsmHost("t-developer-1", "i-0123456789abcdef0", _ssm_facts("http://127.0.0.1:1"))
    host.__dict__["_ssm"] = agent
    return host


def test_a_command_is_waited_for_and_a_bad_status_returned() -> None:
    agent = _Agent({"Status": "Pending"}, {"Status": "InProgress"}, _ended("Failed", ResponseCode=3))
    assert _ssm_host(agent).run(["false"]).exit_status == 3


@pytest.mark.parametrize("stream", ["StandardOutputContent", "StandardErrorContent"])
def test_output_that_aws_cut_is_said_to_be_cut(stream: str) -> None:
    agent = _Agent(_ended(**{stream: "x" * STDOUT_LIMIT_CHARACTERS}))
    assert _ssm_host(agent).run(["cat", "/var/log/big"]).truncated
    assert not _ssm_host(_Agent(_ended(**{stream: "x" * 7_999}))).run(["cat", "/var/log/small"]).truncated


def test_a_command_that_does_not_end_is_cancelled() -> None:
    agent = _Agent({"Status": "InProgress"})
    started = time.monotonic()
    with pytest.raises(
        TargetTimeoutError, match=r"^The command sleep on the host t-developer-1 did not end within 0\.5 s"
    ):
        _ssm_host(agent).run(["sleep", "60"], timeout_seconds=0.5)
    assert time.monotonic() - started < 5
    assert agent.cancelled == ["c-1"]


@pytest.mark.parametrize(
    ("status", "details", "error"),
    [
        ("TimedOut", "ExecutionTimedOut", TargetTimeoutError),
        ("TimedOut", "DeliveryTimedOut", TargetUnreachableError),
        ("Failed", "Undeliverable", TargetUnreachableError),
        ("Cancelled", "Cancelled", TargetTimeoutError),
    ],
)
def test_what_was_not_run_to_its_end_is_an_error(status: str, details: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        _ssm_host(_Agent(_ended(status, details, ResponseCode=-1))).run(["true"])


def test_a_missing_command_is_an_input_error_there_too() -> None:
    said = "env: 'frobnicate': No such file or directory\nfailed to run commands: exit status 127"
    agent = _Agent(_ended("Failed", ResponseCode=127, StandardErrorContent=said))
    with pytest.raises(InputError, match="There is no command frobnicate on the host t-developer-1"):
        _ssm_host(agent).run(["frobnicate"])


def test_an_instance_that_is_not_managed_says_so() -> None:
    class Unmanaged(_Agent):
        def send_command(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "InvalidInstanceId", "Message": "no"}}, "SendCommand")

    with pytest.raises(InputError, match="is not managed by Systems Manager in this region; mend instance_id"):
        _ssm_host(Unmanaged({})).run(["true"])


def test_refused_keys_are_named_and_not_shown(everything_said: Said) -> None:
    class Closed(_Agent):
        def send_command(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no S3cret"}}, "SendCommand")

    host = _ssm_host(Closed({}))
    with pytest.raises(AccessDeniedError, match="mend the connection tdev_aws") as caught:
        host.run(["true"])
    assert "S3cret" not in str(caught.value) + repr(host)


# --- the choice ---


def test_the_settings_choose_the_adapter(sshd: Sshd) -> None:
    facts = sshd.facts()
    connections = EnvironmentConnections(
        {
            "AIRFLOW_CONN_TDEV_HOST_1": json.dumps(
                {"conn_type": "ssh", "host": facts.host, "port": facts.port, "login": facts.login, "extra": facts.extra}
            ),
            "AIRFLOW_CONN_TDEV_AWS": "aws://?region_name=eu-west-1",
        }
    )
    local = host_of(HostSettings(name="one", reach="local"), connections)
    ssh = host_of(HostSettings(name="two", reach="ssh", connection="tdev_host_1"), connections)
    ssm = host_of(HostSettings(name="three", reach="ssm", instance_id="i-1"), connections)
    assert [type(each) for each in (local, ssh, ssm)] == [LocalHost, SshHost, SsmHost]
    assert [each.name for each in (local, ssh, ssm)] == ["one", "two", "three"]
    assert ssh.run(["echo", "in"]).stdout == "in\n"

"""A host over SSH, through paramiko. The host's key is checked and never learnt."""

import io
import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import BoundedSemaphore, Lock

import paramiko

from tdev_operators.core.commands import MIB, Kept
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.deadline import TimeUpError, within
from tdev_operators.hooks.hosts.remote import command_line, found
from tdev_operators.hooks.hosts.ssh_streams import KILLED, SILENCE_SECONDS, printed
from tdev_operators.hooks.outages import OutageMemory

SSH_PORT = 22

# sshd allows ten sessions on a connection by default; other tools may share the host, not our connection.
_SESSIONS = 8
_CHUNK_BYTES = 64 * 1024
_TICK_SECONDS = 0.01
_KILL_AFTER_SECONDS = 2
_LEFTOVER_GRACE_SECONDS = 1.0
_PAUSES_SECONDS = (0.2, 0.8)  # sshd drops callers at random while many knock at once (MaxStartups)
# What paramiko says of who accepts a connection and then says nothing, depending on which of its threads is first.
_SILENT = ("reading SSH protocol banner", "No existing session")
_KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)

# What paramiko would log, tracebacks included, we raise.
_LOG = "tdev_operators.paramiko"
logging.getLogger(_LOG).setLevel(logging.CRITICAL)


class SshHost:
    """Implements `ports.StreamingHost`. One connection is kept and shared by all commands, made anew when it breaks.

    The connection gives host, port, login and, in `extra`, `private_key` or `key_file` (with
    `private_key_passphrase`), else a password. The host proves itself by the extra `host_key` ("ssh-ed25519 AAAA..."),
    else by `known_hosts_file` or the user's known_hosts. Each stream is kept up to 1 MiB.
    """

    def __init__(self, name: str, facts: ConnectionFacts, *, connect_timeout_seconds: float = 8.0) -> None:
        self._name = name
        self._facts = facts
        self._connect_seconds = connect_timeout_seconds
        self._client: paramiko.SSHClient | None = None
        self._connecting = Lock()
        self._places = BoundedSemaphore(_SESSIONS)
        self.memory = OutageMemory(refusals=True)

    def __repr__(self) -> str:
        return f"SshHost({self._name!r}, {self._facts!r})"

    @property
    def name(self) -> str:
        """The host's name in the settings."""
        return self._name

    def close(self) -> None:
        """Hang up; the next command connects again."""
        with self._connecting:
            if self._client:
                self._client.close()
                self._client = None

    def run(self, argv: Sequence[str], *, timeout_seconds: float = 30.0, stdin: str = "") -> CommandOutput:
        """See `ports.Host.run`. An exit status of -1 means that a signal ended the command.

        The time limit is kept by `timeout` on the host itself: SSH has no dependable way to end a command, and so it
        ends there, with its children, even when the connection is lost.
        """
        limit, line = _bounded(argv, timeout_seconds)
        try:
            with self._place(timeout_seconds), self._errors():
                channel = self._session()
                try:
                    started = time.monotonic()
                    output = within(limit + SILENCE_SECONDS, lambda: _converse(channel, line, stdin.encode()))
                finally:
                    channel.close()
        except TimeUpError:
            raise TargetTimeoutError(
                f"The host {self._name} fell silent while {argv[0]} ran there; see whether it hangs (the command ends "
                f"at its limit of {limit} s)."
            ) from None
        if output.exit_status in KILLED and time.monotonic() - started >= limit:
            raise TargetTimeoutError(
                f"The command {argv[0]} on the host {self._name} did not end within {limit} s and was killed; see what "
                "it waits for, or give it more time."
            )
        return found(self._name, argv, output)

    @contextmanager
    def stream(self, argv: Sequence[str], *, timeout_seconds: float = 30.0) -> Iterator[Iterator[bytes]]:
        """See `ports.StreamingHost.stream`. The limit is kept on the host, as for `run`."""
        limit, line = _bounded(argv, timeout_seconds)
        with self._place(timeout_seconds):
            with self._errors():
                channel = self._session()
            try:
                with self._errors():
                    channel.settimeout(self._connect_seconds)
                    channel.exec_command(line)
                    channel.shutdown_write()
                yield self._guarded(printed(channel, self._name, argv, limit_seconds=limit))
            finally:
                channel.close()  # sshd then closes the command's streams, which ends it at its next write

    @contextmanager
    def _place(self, timeout_seconds: float) -> Iterator[None]:
        """Be one of the commands that run on the host at once."""
        if not self._places.acquire(timeout=timeout_seconds):
            raise BusyError(f"The host {self._name} is still busy with {_SESSIONS} other commands of ours; try again.")
        try:
            yield
        finally:
            self._places.release()

    def _guarded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._errors():
            yield from chunks

    def _session(self) -> paramiko.Channel:
        transport, is_new = self._transport()
        try:
            return transport.open_session(timeout=self._connect_seconds)
        except paramiko.ChannelException:
            raise  # the connection is well, there are too many sessions on it
        except (paramiko.SSHException, OSError, EOFError):
            if is_new:
                raise
        transport.close()  # it died since its last use
        return self._transport()[0].open_session(timeout=self._connect_seconds)

    def _transport(self) -> tuple[paramiko.Transport, bool]:
        """Return the kept connection, or a new one, and whether it is new."""
        with self._connecting:
            kept = self._client.get_transport() if self._client else None
            if kept is not None and kept.is_active():
                return kept, False
            with self.memory.attempt(), self._errors():
                self._client = self._connect()
                new = self._client.get_transport()
                if new is None:
                    raise EOFError("it hung up at once")
                return new, True

    def _connect(self) -> paramiko.SSHClient:
        facts = self._facts
        if not facts.host:
            raise SetupMissingError(f"The connection {facts.conn_id} names no host; set the address of the host there.")
        client = paramiko.SSHClient()
        client.set_log_channel(_LOG)
        client.set_missing_host_key_policy(_NeverLearn(self._name, facts.conn_id))
        self._load_host_keys(client)
        key = _private_key(facts)

        def once() -> paramiko.SSHClient:
            try:
                client.connect(
                    facts.host,
                    port=facts.port or SSH_PORT,
                    username=facts.login or None,
                    password=facts.password or None,
                    pkey=key,
                    allow_agent=False,
                    look_for_keys=False,
                    timeout=self._connect_seconds,
                    banner_timeout=self._connect_seconds,
                    auth_timeout=self._connect_seconds,
                )
            except BaseException:
                client.close()
                raise
            return client

        def work() -> paramiko.SSHClient:
            for pause in _PAUSES_SECONDS:
                try:
                    return once()
                except (ConnectionResetError, EOFError):
                    pass
                except paramiko.SSHException as error:
                    if not any(words in str(error) for words in _SILENT):
                        raise
                time.sleep(pause)
            return once()

        try:
            return within(self._connect_seconds, work, discard=paramiko.SSHClient.close)
        except TimeUpError:
            raise TimeoutError from None

    def _load_host_keys(self, client: paramiko.SSHClient) -> None:
        facts, extra = self._facts, self._facts.extra
        if "host_key" in extra:
            kind, key = _host_key(facts)
            port = facts.port or SSH_PORT
            client.get_host_keys().add(facts.host if port == SSH_PORT else f"[{facts.host}]:{port}", kind, key)
        elif "known_hosts_file" in extra:
            try:
                client.load_host_keys(str(Path(extra["known_hosts_file"]).expanduser()))
            except OSError:
                raise SetupMissingError(
                    f"The connection {facts.conn_id} has an extra known_hosts_file that cannot be read; mend it."
                ) from None
        else:
            client.load_system_host_keys()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where, conn_id = f"The host {self._name} ({self._facts.host})", self._facts.conn_id
        try:
            yield
        except paramiko.BadHostKeyException:
            raise AccessDeniedError(
                f"{where} presents another host key than the recorded one; if it was installed anew put its new key "
                f"into the connection {conn_id}, else find out who answers there."
            ) from None
        except paramiko.AuthenticationException:
            raise AccessDeniedError(
                f"{where} refused the user {self._facts.login}; mend login and key of the connection {conn_id}, "
                "or authorized_keys on the host."
            ) from None
        except paramiko.ChannelException:
            raise BusyError(f"{where} opens no further session; raise MaxSessions of its sshd, or try again.") from None
        except TimeoutError:
            raise TargetTimeoutError(
                f"{where} did not answer within {self._connect_seconds:g} s; see whether its sshd runs and whether a "
                "firewall is between."
            ) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            said = self._facts.scrub(str(error)) or type(error).__name__
            raise TargetUnreachableError(f"{where} cannot be reached ({said}); see whether its sshd runs.") from None


def _bounded(argv: Sequence[str], timeout_seconds: float) -> tuple[int, str]:
    """Return the whole seconds of a limit, and the line that keeps it on the host."""
    limit = math.ceil(timeout_seconds)
    return limit, f"timeout -k {_KILL_AFTER_SECONDS} {limit} {command_line(argv)}"


class _NeverLearn(paramiko.MissingHostKeyPolicy):
    def __init__(self, host: str, conn_id: str) -> None:
        self._host, self._conn_id = host, conn_id

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        raise SetupMissingError(
            f"The host {self._host} presents the unknown host key {key.get_name()} {key.fingerprint}; compare it on "
            f"the host, then put the key into the extra host_key of the connection {self._conn_id}."
        )


def _host_key(facts: ConnectionFacts) -> tuple[str, paramiko.PKey]:
    fields = str(facts.extra["host_key"]).split()
    start = next((at for at, field in enumerate(fields) if field.startswith(("ssh-", "ecdsa-"))), len(fields))
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(" ".join(["host", *fields[start : start + 2]]))
    except paramiko.SSHException:
        entry = None
    if entry is None or entry.key is None:
        raise SetupMissingError(
            f"The connection {facts.conn_id} has an extra host_key that is no key; write it as ssh-keyscan prints it: "
            "ssh-ed25519 AAAA..."
        )
    return fields[start], entry.key


def _private_key(facts: ConnectionFacts) -> paramiko.PKey | None:
    text, passphrase = facts.extra.get("private_key"), facts.extra.get("private_key_passphrase")
    if not text and "key_file" in facts.extra:
        try:
            text = Path(facts.extra["key_file"]).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            raise SetupMissingError(
                f"The connection {facts.conn_id} has an extra key_file that cannot be read; mend it."
            ) from None
    if not text:
        return None
    for kind in _KEYS:
        with suppress(paramiko.SSHException, ValueError):
            return kind.from_private_key(io.StringIO(text), password=passphrase)
    raise SetupMissingError(
        f"The connection {facts.conn_id} holds a private key that cannot be read; give an Ed25519, ECDSA or RSA key, "
        "and its private_key_passphrase if it has one."
    )


def _converse(channel: paramiko.Channel, line: str, stdin: bytes) -> CommandOutput:
    """Run the line and return how it ended; `within` bounds it, and closing the channel ends it."""
    channel.exec_command(line)
    out, err, rest = Kept(MIB), Kept(MIB), stdin
    fed, ended_at = False, 0.0
    while True:
        # Asked before the streams are read: what came ahead of their end is then read below, and nothing is lost.
        over = channel.eof_received or channel.closed
        idle = True
        if channel.recv_ready():
            out.take(channel.recv(_CHUNK_BYTES))
            idle = False
        if channel.recv_stderr_ready():
            err.take(channel.recv_stderr(_CHUNK_BYTES))
            idle = False
        if rest and channel.send_ready():
            with suppress(OSError):  # it reads no more, which is its right
                rest = rest[channel.send(rest[:_CHUNK_BYTES]) :]
                idle = False
        if not rest and not fed:
            channel.shutdown_write()
            fed = True
        if idle:
            if channel.exit_status_ready():
                ended_at = ended_at or time.monotonic()
                if over or time.monotonic() > ended_at + _LEFTOVER_GRACE_SECONDS:
                    break
            time.sleep(_TICK_SECONDS)
    transport = channel.get_transport()
    status = channel.recv_exit_status()
    if status < 0 and not (transport and transport.is_active()):
        raise EOFError("the connection broke off")
    return CommandOutput(status, out.text(), err.text(), truncated=out.cut or err.cut)

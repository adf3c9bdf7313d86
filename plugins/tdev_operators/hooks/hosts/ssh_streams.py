"""What a command over SSH prints, chunk by chunk: as much of it at a time as there is, and none of it kept."""

import time
from collections.abc import Iterator, Sequence

import paramiko

from tdev_operators.core.commands import Kept, complaint_of
from tdev_operators.core.errors import CommandFailedError, TargetTimeoutError
from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.hosts.remote import found

SILENCE_SECONDS = 3.0  # beyond the limit, so that the host can tell of the killing
KILLED = (124, 137, -1)  # timeout's own word; SIGKILL, as a shell or as sshd tells it
_CHUNK_BYTES = 256 * 1024
_TICK_SECONDS = 1.0
_SAID_BYTES = 64 * 1024


def printed(
    channel: paramiko.Channel,
    host: str,
    argv: Sequence[str],
    *,
    limit_seconds: float,
) -> Iterator[bytes]:
    """Yield what a command prints that was begun and keeps its own limit. While nobody takes the next chunk, it waits.

    Raises:
        CommandFailedError: it ended badly. TargetTimeoutError: at its limit, or it fell silent.
        InputError: there is no such command; and paramiko's errors.
    """
    began = time.monotonic()
    said = Kept(_SAID_BYTES)
    silent = TargetTimeoutError(
        f"The host {host} fell silent while {argv[0]} ran there; see whether it hangs (the command ends at its limit "
        f"of {limit_seconds:g} s)."
    )

    def left() -> float:
        return began + limit_seconds + SILENCE_SECONDS - time.monotonic()

    channel.settimeout(_TICK_SECONDS)
    while True:
        if left() <= 0:
            raise silent
        _take_complaints(channel, said)
        try:
            chunk = channel.recv(_CHUNK_BYTES)
        except TimeoutError:  # it may wait for us to read the other stream
            continue
        if not chunk:
            break
        yield chunk
    if not channel.status_event.wait(max(0.0, left())):
        raise silent
    _take_complaints(channel, said)
    status = channel.exit_status
    if status in KILLED and time.monotonic() - began >= limit_seconds:
        raise TargetTimeoutError(
            f"The command {argv[0]} on the host {host} did not end within {limit_seconds:g} s and was killed; see what "
            "it waits for, or give it more time."
        )
    found(host, argv, CommandOutput(status, "", said.text()))
    if status != 0:
        raise CommandFailedError(
            f"The command {argv[0]} on the host {host} ended with status {status}: {complaint_of(said.text())}."
        )


def _take_complaints(channel: paramiko.Channel, said: Kept) -> None:
    while channel.recv_stderr_ready():
        said.take(channel.recv_stderr(_SAID_BYTES))

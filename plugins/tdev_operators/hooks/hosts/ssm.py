"""A host through AWS Systems Manager: no port is open on it, its agent fetches the commands."""

import math
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from tdev_operators.core.errors import (
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.aws import aws_errors, code_of, make_client
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.hosts.remote import command_line, found

# What GetCommandInvocation returns of each stream; more is cut by AWS, without a flag.
STDOUT_LIMIT_CHARACTERS = 24_000
STDERR_LIMIT_CHARACTERS = 8_000

_DOCUMENT = "AWS-RunShellScript"
_SHORTEST_DELIVERY_SECONDS = 30  # AWS takes no less
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 2.0
_RUNNING = frozenset({"Pending", "InProgress", "Delayed"})


class SsmHost:
    """Implements `ports.Host`. AWS keeps command and output in its history: nothing secret belongs into either.

    AWS returns at most 24,000 characters of stdout and 8,000 of stderr; `truncated` says when there was more.
    """

    def __init__(
        self, name: str, instance_id: str, facts: ConnectionFacts, *, request_timeout_seconds: float = 10.0
    ) -> None:
        self._name = name
        self._instance_id = instance_id
        self._facts = facts
        self._request_seconds = request_timeout_seconds

    def __repr__(self) -> str:
        return f"SsmHost({self._name!r}, {self._instance_id!r}, {self._facts!r})"

    @property
    def name(self) -> str:
        """The host's name in the settings."""
        return self._name

    def run(self, argv: Sequence[str], *, timeout_seconds: float = 30.0, stdin: str = "") -> CommandOutput:
        """See `ports.Host.run`. At the time limit the command is cancelled, which its agent does when it next asks."""
        deadline = time.monotonic() + timeout_seconds
        line = command_line(argv)
        if stdin:
            line = f"printf %s {shlex.quote(stdin)} | {line}"
        where = f"The host {self._name} ({self._instance_id})"
        with aws_errors(where, self._facts):
            command_id = self._send(where, line, timeout_seconds)
            pause = _FIRST_PAUSE_SECONDS
            while True:
                answer = self._look(command_id)
                if answer.get("Status", "Pending") not in _RUNNING:
                    break
                if time.monotonic() + pause > deadline:
                    with suppress(ClientError):
                        self._ssm.cancel_command(CommandId=command_id)
                    raise self._too_late(argv, timeout_seconds)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        match answer["Status"], answer.get("StatusDetails", ""):
            case ("TimedOut" | "Cancelled", "DeliveryTimedOut") | ("Failed", "Undeliverable" | "Terminated"):
                raise self._silent(where)
            case "TimedOut" | "Cancelled" | "Cancelling", _:
                raise self._too_late(argv, timeout_seconds)
        out, err = answer.get("StandardOutputContent", ""), answer.get("StandardErrorContent", "")
        truncated = len(out) >= STDOUT_LIMIT_CHARACTERS or len(err) >= STDERR_LIMIT_CHARACTERS
        return found(self._name, argv, CommandOutput(int(answer["ResponseCode"]), out, err, truncated=truncated))

    @cached_property
    def _ssm(self) -> Any:
        return make_client(self._facts, "ssm", timeout_seconds=self._request_seconds)

    def stream(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float = 30.0,  # noqa: ARG002  the port's signature
    ) -> AbstractContextManager[Iterator[bytes]]:
        """See `ports.StreamingHost.stream`: nothing can be streamed through Systems Manager.

        Raises:
            SetupMissingError: always.
        """
        raise SetupMissingError(
            f"The host {self._name} is reached through Systems Manager, which cannot stream what {argv[0]} prints; let "
            "it ship its logs to S3 or CloudWatch Logs and name those in [[logs.sources]]."
        )

    def _send(self, where: str, line: str, seconds: float) -> str:
        try:
            answer = self._ssm.send_command(
                InstanceIds=[self._instance_id],
                DocumentName=_DOCUMENT,
                Parameters={"commands": [line], "executionTimeout": [str(math.ceil(seconds))]},
                TimeoutSeconds=max(_SHORTEST_DELIVERY_SECONDS, math.ceil(seconds)),
                Comment="tdev-maintenance",
            )
        except ClientError as error:
            if code_of(error) == "InvalidInstanceId":
                raise InputError(
                    f"{where} is not managed by Systems Manager in this region; mend instance_id, or start its agent."
                ) from None
            raise
        return str(answer["Command"]["CommandId"])

    def _look(self, command_id: str) -> dict[str, Any]:
        try:
            return dict(self._ssm.get_command_invocation(CommandId=command_id, InstanceId=self._instance_id))
        except ClientError as error:
            if code_of(error) == "InvocationDoesNotExist":  # for a moment after it was sent
                return {}
            raise

    def _too_late(self, argv: Sequence[str], seconds: float) -> TdevError:
        return TargetTimeoutError(
            f"The command {argv[0]} on the host {self._name} did not end within {seconds:g} s and was cancelled; "
            "see what it waits for, or give it more time."
        )

    def _silent(self, where: str) -> TdevError:
        return TargetUnreachableError(f"{where} did not fetch the command; see whether its SSM agent runs.")

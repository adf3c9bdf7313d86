"""What SSH and Systems Manager have in common: at the other end a shell reads one line."""

import re
import shlex
from collections.abc import Sequence

from tdev_operators.core.errors import InputError
from tdev_operators.core.ports import CommandOutput

_COMMAND_NOT_FOUND = 127
_NOT_FOUND = re.compile(r"not found|No such file", re.IGNORECASE)

_NO_TIMEOUT = re.compile(r"\btimeout: (command )?not found")


def command_line(argv: Sequence[str]) -> str:
    """Return the argv as one line that any POSIX shell takes apart again, with messages and numbers in the C locale.

    Raises:
        InputError: an argument holds a NUL character.
    """
    if any("\0" in argument for argument in argv):
        raise InputError(f"The command {argv[0]} was given a NUL character; remove it.")
    return shlex.join(("env", "LC_ALL=C", *argv))


def found(host: str, argv: Sequence[str], output: CommandOutput) -> CommandOutput:
    """Return the output of a command that exists.

    Raises:
        InputError: the shell said that there is no such command.
    """
    if output.exit_status == _COMMAND_NOT_FOUND and _NOT_FOUND.search(output.stderr):
        missing = "timeout" if _NO_TIMEOUT.search(output.stderr) else argv[0]
        raise InputError(f"There is no command {missing} on the host {host}; install it there.")
    return output

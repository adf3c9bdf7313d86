"""The configuration of logrotate, from the settings (guide: Log Rotation); and what logrotate says of one.

logrotate's exit status is no proof: with an unknown word, and with a file that others may write and that it therefore
ignores, it is 0. What it says on its way is read instead.
"""

import re
import shlex

from tdev_operators.core.errors import InputError
from tdev_operators.core.logs.settings import LogRotation

_SPECIAL = re.compile(r"[*?\[\]{}\"'\\#]")
_PLAIN = re.compile(r"[\w./@:+-]+")
_COMPLAINT = re.compile(r"^(?:error|warning): .*", re.MULTILINE)
_OF_A_DRY_RUN = "warning: logrotate in debug mode does nothing"
_BECAUSE_WRITABLE = "insecure permissions"


def pattern_of(directory: str) -> str:
    """Return the files that are rotated: every log of the folder.

    Raises:
        InputError: the folder's name means something else to logrotate.
    """
    if _SPECIAL.search(directory):
        raise InputError(
            f"logs.directory is {directory!r}, and logrotate takes one of its characters for a sign of its own; rename "
            "the folder, or give its logs another one."
        )
    return f"{directory.rstrip('/')}/*.log"


def text_of(directory: str, rules: LogRotation) -> str:
    """Return the configuration for the logs of a folder.

    Raises:
        InputError: see `pattern_of`.
    """
    pattern = pattern_of(directory)
    words = [
        rules.every,
        f"rotate {rules.rotate}",
        "compress" if rules.compress else "nocompress",
        "delaycompress" if rules.compress and rules.delaycompress else "nodelaycompress",
        "notifempty" if rules.notifempty else "ifempty",
        f"create {rules.create_mode:0>4} {rules.create_user} {rules.create_group}",
        *([f"su {rules.su}"] if rules.su else []),
        # What the host's own configuration may have switched on for everybody is switched off for ours.
        "nocopytruncate",
        "nodateext",
        "sharedscripts",
    ]
    return "\n".join(
        [
            "# From [logs.rotation] of the maintenance settings, by tdev_install_log_rotation: change it there.",
            f"{pattern} {{" if _PLAIN.fullmatch(pattern.replace("*", "")) else f'"{pattern}" {{',
            *(f"    {word}" for word in words),
            "    postrotate",
            f"        {shlex.join(rules.reload)}",
            "    endscript",
            "}",
            "",
        ]
    )


def complaints_of(said: str) -> list[str]:
    """Return the errors and warnings among what logrotate said, with what to change where that is known."""
    found = [line for line in _COMPLAINT.findall(said) if not line.startswith(_OF_A_DRY_RUN)]
    return [
        f"{line} (that is `su` of [logs.rotation])" if _BECAUSE_WRITABLE in line else line
        for line in dict.fromkeys(found)
    ]


def is_considered(said: str, directory: str) -> bool:
    """Whether logrotate said that it rotates the logs of a folder."""
    return f"rotating pattern: {pattern_of(directory)} " in said

"""Who still holds a log that was renamed: what all open files of a host say, and what the sizes say without them."""

import re
from collections.abc import Callable, Mapping, Sequence

from tdev_operators.core.health.log_lines import listed
from tdev_operators.core.logs.rotation.effect import Lying
from tdev_operators.core.ports import CommandOutput, Host

# Sizes by inode, and by path.
Sizes = dict[int | str, int]
# All open files of all processes, and nothing else of /proc: links to folders there lead everywhere.
_OF_THE_FIRST = "/proc/1/fd/"
_DESCRIPTORS = (
    *("find", "-L", "/proc", "-mindepth", "1", "-maxdepth", "3"),
    *("(", "-path", "/proc/[0-9]*", "-o", "-prune", ")"),
    *("(", "-path", "/proc/*/*", "-not", "-path", "/proc/*/fd", "-not", "-path", "/proc/*/fd/*", "-prune", "-o"),
    *("-path", "/proc/*/fd/*", ")"),
)
# Proof that it sees: the first process has open files, and only who may see all of them can follow their links.
_CONTROL = ("-path", f"{_OF_THE_FIRST}*", "-not", "-type", "l")
_FORBIDDEN = re.compile(r"(?i)permission denied|not permitted")


def held_by(
    host: Host, directory: str, logs: Sequence[Lying], run: Callable[[list[str]], CommandOutput]
) -> tuple[list[str], str]:
    """Return the renamed logs that a process holds, and why not all processes can be seen (empty: they can).

    A log is known by device and inode: in a container it has another path. `run` runs a command as who may see them.
    """
    place = run(["stat", "-L", "-c", "%d", "--", directory])
    inodes = {str(log.inode): log for log in logs}
    wanted = [word for inode in inodes for word in ("-o", "-inum", inode)]
    ended = run([*_DESCRIPTORS, "(", *_CONTROL, *wanted, ")", "-printf", r"%p\0%D\0%i\0"])
    if ended.truncated:
        return [], "there are too many of them"
    # Descriptors come and go while find looks: its exit status says nothing, nor does one that is not there.
    blind = next((line for line in ended.stderr.splitlines() if _FORBIDDEN.search(line)), "")[:200]
    found = list(listed(ended, 3, f"the open files of {host.name}"))
    if not blind and not any(path.startswith(_OF_THE_FIRST) for path, _, _ in found):
        blind = "those of process 1 do not show"
    if place.exit_status != 0:
        blind = f"{directory} does not show"
    here = [inode for _, device, inode in found if device == place.stdout.strip()]
    return sorted({f"{inodes[inode].path}.1" for inode in here if inode in inodes}), blind


def sizes_of(files: Sequence[Lying]) -> Sizes:
    """Return the sizes of logs."""
    return {**{file.inode: file.bytes for file in files}, **{file.path: file.bytes for file in files}}


def moved_on(log: Lying, before: Mapping[int | str, int], now: Mapping[int | str, int]) -> bool:
    """Say whether the new log grew between two looks, and the old one did not."""
    if log.path not in before or log.path not in now:
        return False
    return now[log.path] > before[log.path] and before.get(log.inode) == now.get(log.inode)

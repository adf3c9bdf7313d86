"""What `df` says about a host's disks: read in one place, and believed only when it speaks of every folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.ports import Host

_FIELDS = 6  # filesystem, total, used, available, percent, mount
_COMPLAINT = 200


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk on which a folder lies, in bytes or inodes. What is reserved for root is neither used nor free."""

    point: str
    total: int
    used: int
    free: int


def disks_of(
    host: Host, folders: Sequence[str], *, of: Literal["bytes", "inodes"] = "bytes", timeout_seconds: float = 10.0
) -> list[Disk]:
    """Return the disk of each folder, in their order. A file system without a fixed number of inodes has 0 in all.

    Raises:
        InputError: `df` did not see one of the folders; it is not passed over.
        GarbledAnswerError: it answered something else. And what `Host.run` raises.
    """
    option, unit = ("-Pk", 1024) if of == "bytes" else ("-Pi", 1)
    ended = host.run(["env", "LC_ALL=C", "df", option, "--", *folders], timeout_seconds=timeout_seconds)
    if ended.exit_status != 0:
        said = "; ".join(line.removeprefix("df: ") for line in ended.stderr.strip().splitlines()) or "it said nothing"
        raise InputError(
            f"`df` on {host.name} did not see every folder that it was asked for (status {ended.exit_status}): "
            f"{said[:_COMPLAINT]}."
        )
    found = [_disk(host, line, unit) for line in ended.stdout.splitlines()[1:]]
    if not folders or len(found) != len(folders):
        raise GarbledAnswerError(f"`df` on {host.name} printed {len(found)} lines for {len(folders)} disks.")
    return found


def _disk(host: Host, line: str, unit: int) -> Disk:
    fields = line.split(maxsplit=_FIELDS - 1)
    try:
        total, used, free = (0 if text == "-" else int(text) * unit for text in fields[1:4])
        return Disk(fields[5], total, used, free)
    except (IndexError, ValueError):
        raise GarbledAnswerError(f"`df` on {host.name} printed a line that is not POSIX: {line[:100]!r}.") from None

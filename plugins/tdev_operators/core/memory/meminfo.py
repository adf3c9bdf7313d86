"""What /proc/meminfo of a host says."""

import re
from dataclasses import dataclass
from typing import Self

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.health.on_hosts import output_of
from tdev_operators.core.ports import Host

_LINE = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MemInfo:
    """Memory of a host in KiB. `available` is what programs could have at once: caches count as available already.

    `reclaimable` is the part of the kernel's own caches (slab) that it could give back.
    """

    total: int
    available: int
    free: int = 0
    cached: int = 0
    reclaimable: int = 0
    swap_total: int = 0
    swap_free: int = 0

    @property
    def used_percent(self) -> float:
        """The share that is in use, without what the kernel would give back."""
        return 100 * (self.total - self.available) / self.total

    @classmethod
    def of(cls, host: Host) -> Self:
        """Read it.

        Raises:
            GarbledAnswerError: it lacks what it should say; InputError, and what `Host.run` raises.
        """
        figures = {name: int(value) for name, value in _LINE.findall(output_of(host, "cat", "/proc/meminfo"))}
        try:
            total, available = figures["MemTotal"], figures["MemAvailable"]
        except KeyError:
            raise GarbledAnswerError(f"/proc/meminfo on {host.name} lacks MemTotal or MemAvailable.") from None
        if not 0 <= available <= total or total == 0:
            raise GarbledAnswerError(f"/proc/meminfo on {host.name} says {available} of {total} KiB available.")
        return cls(
            total=total,
            available=available,
            free=figures.get("MemFree", 0),
            cached=figures.get("Cached", 0) + figures.get("Buffers", 0),
            reclaimable=figures.get("SReclaimable", 0),
            swap_total=figures.get("SwapTotal", 0),
            swap_free=figures.get("SwapFree", 0),
        )

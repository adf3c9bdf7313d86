"""What is done about a host's memory, by what was seen there. Pure rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tdev_operators.core.settings import Settings

DROP, RESTART = "drop", "restart"


@dataclass(frozen=True, slots=True)
class Act:
    """One act on a host: dropping the kernel's caches, or restarting a service."""

    host: str
    kind: Literal["drop", "restart"]
    service: str = ""

    @property
    def step(self) -> str:
        """Its name in the journal."""
        return f"{self.kind} {self.service} on {self.host}" if self.service else f"{self.kind} caches on {self.host}"

    @property
    def told(self) -> str:
        """It for people."""
        return f"restart {self.service}" if self.kind == RESTART else "drop the kernel's caches"


def is_high(seen: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a host's memory is high, as the health check has it."""
    return bool(seen["used_percent"] >= settings.health.infrastructure.memory_used_percent.warning)


def acts_of(host: str, seen: Mapping[str, Any], settings: Settings) -> tuple[Act, ...]:
    """Return what may help on a host whose memory is high, the gentlest first."""
    return tuple(_acts(host, seen, settings))


def _acts(host: str, seen: Mapping[str, Any], settings: Settings) -> Iterator[Act]:
    rules = settings.memory_relief
    if rules.drop_caches and seen["reclaimable_percent"] >= rules.reclaimable_percent:
        yield Act(host, "drop")
    largest = sorted(seen["services"].items(), key=lambda each: -each[1]["percent"])
    for service, held in largest:
        if service in rules.services and held["runs"] and held["percent"] >= rules.service_percent:
            yield Act(host, "restart", service)


def why_none(seen: Mapping[str, Any], settings: Settings) -> str:
    """Say why nothing can be done by itself, and who holds the memory."""
    rules = settings.memory_relief
    first = seen["consumers"][0]
    who = f"the largest is {first['name']} (pid {first['pid']}) with {first['rss_kib'] / 1024:.0f} MiB"
    small = [
        f"{service} holds {held['percent']:.1f} %"
        for service, held in seen["services"].items()
        if service in rules.services
    ]
    why = f"; {', '.join(small)}, and below {rules.service_percent:g} % a restart would not help" if small else ""
    return f"Nothing that may be restarted holds much of it: {who}{why}."

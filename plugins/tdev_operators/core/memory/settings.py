"""`[memory_relief]`: when memory is high, and what may be done about it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tdev_operators.core.setting_types import Percent, Seconds, Section, Text


class MemoryReliefSettings(Section):
    """`[memory_relief]`. High is what the health check calls so: `health.infrastructure.memory_used_percent`."""

    services: tuple[Text, ...]  # that may be restarted, where they hold much
    service_percent: Annotated[Percent, Field(gt=0)]  # of a host's memory: with less a restart would not help
    service_pid: Annotated[tuple[Text, ...], Field(min_length=1)]  # prints the process id of a service
    approve_restart: bool  # outside the maintenance window
    drop_caches: bool
    reclaimable_percent: Percent  # of a host's memory in the kernel's own caches (slab), from which on dropping helps
    flush: Annotated[tuple[Text, ...], Field(min_length=1)]
    drop: Annotated[tuple[Text, ...], Field(min_length=1)]
    settle_seconds: Seconds  # for figures to follow what was done
    consumers: Annotated[int, Field(ge=1, le=100)]  # that are told for each host

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not any("{service}" in word for word in self.service_pid):
            raise ValueError('service_pid names no service; write "{service}" where its name belongs')
        return self

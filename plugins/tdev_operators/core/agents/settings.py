"""`[agents.optimiser]` of the settings: what is made smaller, how far it is tried, and what happens to the result."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tdev_operators.core.agents.passes import pass_names
from tdev_operators.core.setting_types import FilePath, Percent, Positive, Seconds, Section, Text, refuse_twins


class ConfinementSettings(Section):
    """`[agents.optimiser.confinement]`: what agents' code may use while it is tried."""

    cpu_seconds: Annotated[int, Field(ge=1, le=600)]
    wall_seconds: Seconds
    memory_mb: Annotated[int, Field(ge=64)]
    output_kb: Annotated[int, Field(ge=64)]
    library_folders: tuple[FilePath, ...] = ()


class OptimiserSettings(Section):
    """`[agents.optimiser]`."""

    measure: Literal["source", "footprint"]
    footprint_agents: Annotated[int, Field(ge=1, le=1000)]
    passes: Annotated[tuple[Text, ...], Field(min_length=1)]
    at_once: Annotated[int, Field(ge=1, le=64)]
    minutes: Positive
    calls: Annotated[int, Field(ge=4, le=1000)]
    minimum_coverage_percent: Percent
    slower_percent: Percent
    imported_names_are_public: bool
    write_back: bool
    pause_evolution: bool
    undo_days: Annotated[int, Field(ge=1)]
    confinement: ConfinementSettings

    @field_validator("passes")
    @classmethod
    def _are_there(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        refuse_twins(names, "name")
        known = pass_names()
        for name in names:
            if name not in known:
                raise ValueError(f"there is no pass {name!r}; write some of {', '.join(known)}")
        return names

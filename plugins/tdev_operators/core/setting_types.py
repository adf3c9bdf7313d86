"""Building blocks of the settings: a strict frozen section, and the figures with their ranges.

The unit of a figure stands in its key (`_days`, `_kb`, `_seconds`, `_percent`), so the types here only bound it.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table of the settings file: frozen, and it knows all of its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Seconds = Annotated[float, Field(gt=0, le=366 * 86_400, strict=False)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Percent = Annotated[float, Field(ge=0, le=100, strict=False)]
Positive = Annotated[float, Field(gt=0, strict=False)]
Count = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Text = Annotated[str, Field(min_length=1)]
BucketName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]


class Ceiling(Section):
    """Limits on a figure that must stay low: WARNING from `warning` on, CRITICAL from `critical` on."""

    warning: Annotated[float, Field(strict=False)]
    critical: Annotated[float, Field(strict=False)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warning > self.critical:
            raise ValueError("warning must not be above critical; exchange the two figures")
        return self


class Floor(Section):
    """Limits on a figure that must stay high: WARNING below `warning`, CRITICAL below `critical`."""

    warning: Annotated[float, Field(strict=False)]
    critical: Annotated[float, Field(strict=False)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warning < self.critical:
            raise ValueError("warning must not be below critical; exchange the two figures")
        return self

"""Building blocks of the settings: a strict frozen section, and the figures with their ranges.

The unit of a figure stands in its key (`_days`, `_kb`, `_seconds`, `_percent`), so the types here only bound it.
"""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table of the settings file: frozen, and it knows all of its keys. nan and inf are no figures."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


BUCKET_PATTERN = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
FILE_PATTERN = r"^/[^\x00-\x1f\x7f]*$"
URL_PATH_PATTERN = r"^/\S*$"

Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Percent = Annotated[float, Field(ge=0, le=100)]
Positive = Annotated[float, Field(gt=0)]
ZeroOrMore = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Text = Annotated[str, Field(min_length=1)]
BucketName = Annotated[str, Field(pattern=BUCKET_PATTERN)]
FilePath = Annotated[str, Field(pattern=FILE_PATTERN)]
UrlPath = Annotated[str, Field(pattern=URL_PATH_PATTERN)]


class Ceiling(Section):
    """Limits on a figure that must stay low: WARNING from `warning` on, CRITICAL from `critical` on."""

    warning: ZeroOrMore
    critical: ZeroOrMore

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warning > self.critical:
            raise ValueError("warning must not be above critical; exchange the two figures")
        return self


class PercentCeiling(Ceiling):
    """A ceiling of a share: above 100 it could never be reached."""

    warning: Percent
    critical: Percent


class Floor(Section):
    """Limits on a figure that must stay high: WARNING below `warning`, CRITICAL below `critical`."""

    warning: ZeroOrMore
    critical: ZeroOrMore

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warning < self.critical:
            raise ValueError("warning must not be below critical; exchange the two figures")
        return self


class PercentFloor(Floor):
    """A floor of a share in percent. One of at most 1 is a fraction by mistake: nothing would ever be below it."""

    warning: Percent
    critical: Percent

    @model_validator(mode="after")
    def _is_no_fraction(self) -> Self:
        if self.warning <= 1:
            raise ValueError(f"warning = {self.warning:g} is a fraction; write it in percent: 98, not 0.98")
        return self


def refuse_twins(names: Iterable[str], key: str) -> None:
    """Refuse entries with one name: results are kept by name, so one of the two would never be looked at.

    Raises:
        ValueError: the clause about it.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two entries have the {key} {name!r}; give each its own, or remove one")
        seen.add(name)

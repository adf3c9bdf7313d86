"""`[capacity]`: what growth is held against, and how far ahead one looks."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tdev_operators.core.setting_types import Days, Floor, Percent, Positive, Section, ZeroOrMore


class CapacitySettings(Section):
    """`[capacity]`. A limit that is not given is none: growth is told and held against nothing."""

    history_days: Annotated[int, Field(ge=14, le=1000)]
    minimum_days: Days  # of history: with less nothing is foretold
    stale_days: Days  # the newest sample may be so old
    horizon_days: Annotated[int, Field(ge=7, le=1000)]
    confidence_percent: Annotated[float, Field(ge=50, le=99)]  # of the band
    days_left: Floor
    tables: Annotated[int, Field(ge=1, le=50)]  # so many of the largest are foretold
    table_minimum_mb: ZeroOrMore
    disk_used_percent: Percent
    connections_used_percent: Percent
    database_gb: Positive | None = None
    bucket_gb: Positive | None = None
    wal_gb_per_day: Positive | None = None

    @model_validator(mode="after")
    def _looks_back_far_enough(self) -> Self:
        if self.minimum_days > self.history_days:
            raise ValueError("minimum_days must not be above history_days, or there is never enough history; lower it")
        return self

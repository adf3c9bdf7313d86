"""`[retention]`: which rows go when, what is archived first, and how gently it is done."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tdev_operators.core.setting_types import Days, Positive, Seconds, Section, Text, refuse_twins

FOLDER_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"


class RetentionException(Section):
    """`[[retention.rules.exceptions]]`: rows whose `column` has this `value` stay longer. The first to fit counts."""

    column: Text
    value: Text
    days: Days
    archive: bool


class PartitionRule(Section):
    """`[retention.rules.partitions]`: partitions by a column's values, then by time. See docs/retention.md."""

    by: Text
    values: Annotated[tuple[Text, ...], Field(min_length=1)]  # those that go at the same age share a partition
    step: Literal["day", "week", "month"]  # of time, for one partition
    ahead_days: Days  # so far there are partitions for what is to come
    keep_days: Days  # the former table stays so long after a conversion, for the way back
    room_percent: Annotated[float, Field(ge=100, le=1000)]  # free disk that a conversion asks for, of the table
    unwatched_gb: Positive  # a larger table is not converted where no host tells how much disk is free

    @field_validator("values")
    @classmethod
    def _one_of_each(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        refuse_twins(values, "value")
        return values


class RetentionRule(Section):
    """`[[retention.rules]]`: how long a table's rows stay, by one of its columns."""

    table: Text
    in_schema: Text = "public"
    time_column: Text
    days: Days
    archive: bool
    allow_triggers: bool = False  # true: triggers on DELETE run for every removed row; else such a table is refused
    exceptions: tuple[RetentionException, ...] = ()
    partitions: PartitionRule | None = None

    @property
    def name(self) -> str:
        """Schema and table, for people."""
        return f"{self.in_schema}.{self.table}"

    @model_validator(mode="after")
    def _exceptions_stay_longer(self) -> Self:
        for exception in self.exceptions:
            if exception.days < self.days:
                raise ValueError(
                    f"the exception {exception.column} = {exception.value!r} has {exception.days} days and the rule "
                    f"{self.days}: what is excepted would go first; raise it"
                )
        return self

    @model_validator(mode="after")
    def _partitions_have_one_age(self) -> Self:
        if self.partitions is None:
            return self
        for exception in self.exceptions:
            if exception.column != self.partitions.by:
                raise ValueError(
                    f"the exception {exception.column} = {exception.value!r} is by another column than the partitions "
                    f"({self.partitions.by}), so that no partition could go whole; use one column for both"
                )
            if exception.value not in self.partitions.values:
                raise ValueError(
                    f"the exception {exception.column} = {exception.value!r} is none of partitions.values; add it"
                )
        return self


class Pace(Section):
    """`[retention.pace]`: what the removal gives way to."""

    batch_rows: Annotated[int, Field(ge=100, le=1_000_000)]  # of one stretch of transactions, one copy of a conversion
    transaction_ms: Annotated[float, Field(ge=0.1, le=1000)]  # about so long is one transaction of it
    rest_percent: Annotated[float, Field(ge=0, le=1000)]  # pause after a stretch, of the time that it took
    copy_rest_percent: Annotated[float, Field(ge=0, le=1000)]  # the same after a copy
    replica_lag_mb: Positive
    wal_mb_per_second: Positive
    lock_waiters: Annotated[int, Field(ge=0, le=1000)]  # sessions that a transaction may have blocked
    pause_seconds: Seconds  # how long one pause for a replica may last before the run gives up


class RetentionSettings(Section):
    """`[retention]`."""

    maintenance_records_days: Days  # of samples in our ledger; what is compared with stays longer
    archive_folder: Annotated[str, Field(pattern=FOLDER_PATTERN)]  # below <system>/ of the backups bucket
    part_rows: Annotated[int, Field(ge=1_000, le=100_000_000)]  # of one archive object
    page_rows: Annotated[int, Field(ge=100, le=200_000)]  # of one row group: what is held in memory at once
    max_minutes: Positive
    lock_timeout_ms: Annotated[int, Field(ge=10, le=60_000)]
    tries: Annotated[int, Field(ge=1, le=100)]
    count_partitions: bool
    pace: Pace
    rules: Annotated[tuple[RetentionRule, ...], Field(min_length=1)]

    @field_validator("rules")
    @classmethod
    def _one_rule_a_table(cls, rules: tuple[RetentionRule, ...]) -> tuple[RetentionRule, ...]:
        refuse_twins((rule.name for rule in rules), "table")
        return rules

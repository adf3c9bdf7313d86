"""`[backup]`: how sets are taken, proven, kept and encrypted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tdev_operators.core.setting_types import Days, Percent, Positive, Seconds, Section, Text

KeepCount = Annotated[int, Field(ge=0, le=10_000)]


class KeepRules(Section):
    """`[backup.keep]`: which PROVEN sets stay, one for each of the last so many of each span."""

    last: Annotated[int, Field(ge=1, le=10_000)]
    daily: KeepCount
    weekly: KeepCount
    monthly: KeepCount
    yearly: KeepCount


class BackupSettings(Section):
    """`[backup]`."""

    databases: Annotated[tuple[Text, ...], Field(min_length=1)]  # on the server of tdev_postgres
    parallel_jobs: Annotated[int, Field(ge=1, le=64)]
    compression_level: Annotated[int, Field(ge=1, le=19)]
    client_tools: Text  # "embedded", or a folder with {major} in it, such as "/usr/lib/postgresql/{major}/bin"
    spool_mb: Annotated[int, Field(ge=8, le=65_536)]  # local disk for each dump worker
    lock_wait_seconds: Seconds
    yield_after_seconds: Seconds  # a dump that has blocked somebody for so long gives up and is tried again
    small_object_kb: Annotated[int, Field(ge=1, le=8192)]
    pack_mb: Annotated[int, Field(ge=1, le=256)]
    reverify_days: Days
    sample_percent: Percent  # of unchanged or restored objects that are read again each time
    expected_hours: Positive  # tonight's set must be younger than this when it is verified
    unusual_size_percent: Positive  # deviation from the median of the last ten sets that is a WARNING
    server_side_encryption: Literal["", "AES256", "aws:kms"]
    kms_key_id: str
    age_recipients: tuple[Text, ...]
    role_passwords: bool  # whether globals hold password hashes
    scratch: Text  # "embedded", or the Airflow connection of a disposable server
    keep: KeepRules
    keep_unproven_days: Days
    sweep_grace_days: Days
    max_delete_percent: Percent  # a plan that removes a larger share of the sets is refused
    price_per_1000: dict[Text, Positive | Literal[0]]  # list price of requests by kind, in USD

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kms_key_id and self.server_side_encryption != "aws:kms":
            raise ValueError('kms_key_id needs server_side_encryption = "aws:kms"; write that, or remove the key')
        if self.client_tools != "embedded" and not self.client_tools.startswith("/"):
            raise ValueError('client_tools is "embedded" or a folder such as "/usr/lib/postgresql/{major}/bin"')
        return self

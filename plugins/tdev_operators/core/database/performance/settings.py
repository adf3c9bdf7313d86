"""`[performance]`: what the daily analysis keeps, compares with, and holds figures against."""

from typing import Annotated

from pydantic import Field

from tdev_operators.core.setting_types import Ceiling, Count, Days, PercentCeiling, PercentFloor, Section, ZeroOrMore


class PerformanceSettings(Section):
    """`[performance]`."""

    kept_statements: Annotated[int, Field(ge=10, le=2000)]
    kept_tables: Annotated[int, Field(ge=10, le=20_000)]
    kept_indexes: Annotated[int, Field(ge=0, le=20_000)]
    listing_seconds: Annotated[float, Field(ge=0, le=3600)]  # of all buckets together; 0: none is listed
    baseline_days: Annotated[int, Field(ge=2, le=90)]
    baseline_minimum_days: Days
    statement_load_percent: Ceiling
    regression_times: Ceiling
    regression_minimum_calls: Count
    regression_minimum_ms: ZeroOrMore
    new_statement_percent: PercentCeiling
    new_statement_minimum_seconds: ZeroOrMore
    temp_gb_per_day: Ceiling
    deadlocks_per_day: Ceiling
    requested_checkpoints_percent: PercentCeiling
    checkpoints_minimum: Count
    growth_week_percent: Ceiling
    growth_minimum_mb: ZeroOrMore
    api_failed_percent: PercentCeiling
    api_times: Ceiling
    api_minimum_ms: ZeroOrMore
    throughput_percent: PercentFloor
    shown: Annotated[int, Field(ge=1, le=50)]

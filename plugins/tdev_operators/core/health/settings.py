"""Limits of the health check: the `[health...]` tables of the settings."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tdev_operators.core.setting_types import (
    Ceiling,
    Count,
    Floor,
    Percent,
    PercentCeiling,
    PercentFloor,
    Positive,
    Seconds,
    Section,
    Text,
    UrlPath,
    ZeroOrMore,
    refuse_twins,
)


class InfrastructureHealth(Section):
    """`[health.infrastructure]`: hosts and clocks."""

    disk_used_percent: PercentCeiling
    inodes_used_percent: PercentCeiling
    memory_used_percent: PercentCeiling
    load_per_core: Ceiling
    clock_skew_seconds: Ceiling


class EvolutionHealth(Section):
    """`[health.evolution]`: pace and quality of the generations."""

    history_hours: Positive
    minimum_generations: Annotated[int, Field(ge=4)]
    fitness_confidence_percent: Annotated[float, Field(ge=50, le=99.99)]
    minimum_decline: Annotated[float, Field(ge=0, le=1)]
    constraint_violations: Ceiling


class AgentsHealth(Section):
    """`[health.agents]`: the registry against the bucket."""

    source_key: Text
    size_tolerance_kb: ZeroOrMore
    near_limit_warning_percent: Percent
    parse_max_kb: Annotated[int, Field(ge=1, le=64)]

    @model_validator(mode="after")
    def _names_an_agent(self) -> Self:
        fields = set(re.findall(r"{.*?}|[{}]", self.source_key))
        if "{name}" not in fields or fields - {"{name}", "{version}"}:
            raise ValueError(
                "source_key must hold {name}, may hold {version}, and no other field; "
                'write for example "{name}/{version}.py"'
            )
        return self


class DatabaseHealth(Section):
    """`[health.database]`: limits of PostgreSQL."""

    connections_used_percent: PercentCeiling
    expected_replicas: Count
    replication_lag_seconds: Ceiling
    replication_lag_mb: Ceiling
    transaction_minutes: Ceiling
    idle_in_transaction_minutes: Ceiling
    xmin_age_transactions: Ceiling
    dead_tuples_minimum: Count
    dead_tuples_percent: PercentCeiling
    freeze_overdue_percent: Annotated[float, Field(ge=100)]
    failsafe_percent: Annotated[Percent, Field(gt=0)]
    invalid_indexes: Ceiling
    cache_hit_percent: PercentFloor
    cache_minimum_blocks: Count
    lock_wait_seconds: Ceiling
    sequence_used_percent: PercentCeiling
    autovacuum_overdue_hours: Ceiling
    autovacuum_overdue_multiple: Annotated[float, Field(ge=1)]
    expects_archiving: bool
    archive_ready_minutes: Ceiling
    inactive_slot_minutes: Ceiling
    slot_retained_mb: Ceiling
    minimum_statistics_age_hours: ZeroOrMore


class Endpoint(Section):
    """`[[health.api.endpoints]]`: a GET endpoint and the shape of its JSON.

    `required_keys` must stand in the object, or in every object of the list.
    """

    path: UrlPath
    answer: Literal["object", "list"] = "object"
    required_keys: tuple[Text, ...] = ()
    protected: bool = True


class ApiHealth(Section):
    """`[health.api]`: what the API must answer, and how fast."""

    health_path: UrlPath
    health_status: Text
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)]
    requests_per_endpoint: Annotated[int, Field(ge=1, le=50)]
    sampling_seconds: Seconds
    latency_p50_ms: Ceiling
    latency_p95_ms: Ceiling

    @field_validator("endpoints")
    @classmethod
    def _have_paths_of_their_own(cls, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        refuse_twins((endpoint.path for endpoint in endpoints), "path")
        return endpoints


class SecurityHealth(Section):
    """`[health.security]`: certificates, buckets, passwords, logins."""

    certificate_days: Floor
    short_lived_below_days: Positive
    short_lived_left_percent: PercentFloor
    default_passwords: Annotated[tuple[tuple[Text, Text], ...], Field(min_length=1)]
    failed_logins_1h: Ceiling
    failed_logins_24h: Ceiling
    own_probes_24h: Count
    login_logs: Annotated[tuple[Text, ...], Field(min_length=1)]
    log_stale_minutes: Positive


class HealthSettings(Section):
    """`[health]`: what the whole check may cost, and the limits of its six areas."""

    check_timeout_seconds: Annotated[float, Field(ge=5, le=600)]
    confirm_pause_seconds: Annotated[float, Field(ge=0, le=5)]
    infrastructure: InfrastructureHealth
    evolution: EvolutionHealth
    agents: AgentsHealth
    database: DatabaseHealth
    api: ApiHealth
    security: SecurityHealth

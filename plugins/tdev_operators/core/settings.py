"""The settings file `include/tdev.toml` (or the file that `TDEV_SETTINGS` names) as frozen, typed models.

`load_settings()` is the only reader. Every complaint is one sentence with file, key and remedy.
Facts and limits live here; secrets live in Airflow connections; times of day live in the DAG files.
"""

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import time
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.certificates.settings import CertificateSettings
from tdev_operators.core.compliance.settings import ComplianceSettings
from tdev_operators.core.database.capacity.settings import CapacitySettings
from tdev_operators.core.database.care.settings import CareSettings
from tdev_operators.core.database.performance.settings import PerformanceSettings
from tdev_operators.core.database.retention.settings import RetentionSettings
from tdev_operators.core.database.tuning.settings import TuningSettings
from tdev_operators.core.drill.settings import DrillSettings
from tdev_operators.core.errors import SettingsError
from tdev_operators.core.evolution.recovery.settings import EvolutionRecoverySettings
from tdev_operators.core.evolution.review.settings import EvolutionReviewSettings
from tdev_operators.core.failover.settings import FailoverSettings
from tdev_operators.core.health.settings import HealthSettings
from tdev_operators.core.logs.settings import LogSettings
from tdev_operators.core.memory.settings import MemoryReliefSettings
from tdev_operators.core.recovery.settings import RecoverySettings
from tdev_operators.core.reporting.settings import AlertSettings, Silence
from tdev_operators.core.security.settings import SecuritySettings
from tdev_operators.core.setting_types import (
    BUCKET_PATTERN,
    FILE_PATTERN,
    URL_PATH_PATTERN,
    BucketName,
    FilePath,
    Port,
    Positive,
    Seconds,
    Section,
    Text,
    refuse_twins,
)
from tdev_operators.core.sql import include_dir

SETTINGS_VARIABLE = "TDEV_SETTINGS"
SYSTEM_RESOLVER = "system"


class MaintenanceWindow(Section):
    """`[system.maintenance_window]`: when a service may be interrupted without asking a human, in UTC."""

    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    start: time
    end: time

    @model_validator(mode="after")
    def _on_one_day(self) -> Self:
        if self.start >= self.end:
            raise ValueError("start must be before end, both on the same day; write 02:00:00 and 06:00:00")
        return self


class SystemSettings(Section):
    """`[system]`: what is maintained."""

    name: Text
    maintenance_window: MaintenanceWindow


class Buckets(Section):
    """`[buckets]`: the sources, and the one bucket that only we write."""

    agents: BucketName
    checkpoints: BucketName
    backups: BucketName
    others: tuple[BucketName, ...] = ()

    @property
    def sources(self) -> dict[str, str]:
        """The buckets that are backed up: the name in a set, and the bucket."""
        return {"agents": self.agents, "checkpoints": self.checkpoints, **{name: name for name in self.others}}

    @model_validator(mode="after")
    def _source_is_not_target(self) -> Self:
        if self.agents == self.checkpoints:
            raise ValueError(
                f"agents and checkpoints name the same bucket {self.agents!r}; every checkpoint would be an agent's "
                "source without its agent, so give each a bucket of its own"
            )
        for source, bucket in self.sources.items():
            if bucket == self.backups:
                raise ValueError(
                    f"backups and {source} name the same bucket {self.backups!r}; "
                    "give the back-ups a bucket of their own"
                )
        return self


class HostSettings(Section):
    """`[[hosts]]`: a machine of the maintained system and how commands reach it."""

    name: Text
    reach: Literal["local", "ssh", "ssm"]
    connection: str = ""
    instance_id: str = ""
    disks: Annotated[tuple[FilePath, ...], Field(min_length=1)] = ("/",)
    services: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.reach == "ssh" and not self.connection:
            raise ValueError('reach = "ssh" needs connection = "<the Airflow connection with host, user and key>"')
        if self.reach == "ssm" and not self.instance_id:
            raise ValueError('reach = "ssm" needs instance_id = "<the EC2 or managed instance id>"')
        return self


class PublicName(Section):
    """`[[public_names]]`: a name whose DNS entry and certificate are maintained."""

    name: Text
    port: Port = 443

    @property
    def title(self) -> str:
        """Name and port."""
        return f"{self.name}:{self.port}"


class DnsSettings(Section):
    """`[dns]`: whom to ask. `system` is the worker's own resolver, else `address:port`."""

    resolver: Text

    @field_validator("resolver")
    @classmethod
    def _names_a_resolver(cls, resolver: str) -> str:
        resolver_address(resolver)
        return resolver


class TlsSettings(Section):
    """`[tls]`: whom to trust beside the system's authorities: the path of a PEM file, empty for nobody."""

    ca_file: str = ""


class AgentSettings(Section):
    """`[agents]`: the rules that T-Developer sets its agents."""

    max_size_kb: Positive
    near_limit_kb: Positive
    max_instantiation_us: Positive
    optimiser: OptimiserSettings

    @model_validator(mode="after")
    def _near_is_below(self) -> Self:
        if self.near_limit_kb > self.max_size_kb:
            raise ValueError("near_limit_kb must not be above max_size_kb; lower it")
        return self


class EvolutionSettings(Section):
    """`[evolution]`: the pace that T-Developer promises."""

    generation_interval_seconds: Seconds
    stalled_after_seconds: Seconds
    review: EvolutionReviewSettings
    recovery: EvolutionRecoverySettings

    @model_validator(mode="after")
    def _waits_for_a_generation(self) -> Self:
        if self.stalled_after_seconds <= self.generation_interval_seconds:
            raise ValueError(
                "stalled_after_seconds must be above generation_interval_seconds, or every pause between two "
                "generations is a stall; write twice the interval"
            )
        return self


class OutOfScopeSettings(Section):
    """`[[out_of_scope]]`: a check that is switched off, why, and who answers for it."""

    check: Text
    reason: Text
    owner: Text


class Settings(Section):
    """The whole settings file."""

    system: SystemSettings
    buckets: Buckets
    hosts: tuple[HostSettings, ...] = Field(min_length=1)
    public_names: tuple[PublicName, ...] = Field(min_length=1)
    dns: DnsSettings
    tls: TlsSettings = TlsSettings()
    logs: LogSettings
    agents: AgentSettings
    evolution: EvolutionSettings
    memory_relief: MemoryReliefSettings
    retention: RetentionSettings
    health: HealthSettings
    backup: BackupSettings
    recovery: RecoverySettings
    failover: FailoverSettings
    drill: DrillSettings
    care: CareSettings
    performance: PerformanceSettings
    capacity: CapacitySettings
    tuning: TuningSettings
    security: SecuritySettings
    certificates: CertificateSettings
    compliance: ComplianceSettings = ComplianceSettings()
    alerts: AlertSettings
    silences: tuple[Silence, ...] = ()
    out_of_scope: tuple[OutOfScopeSettings, ...] = ()

    @field_validator("hosts")
    @classmethod
    def _have_names_of_their_own(cls, hosts: tuple[HostSettings, ...]) -> tuple[HostSettings, ...]:
        refuse_twins((host.name for host in hosts), "name")
        return hosts

    @model_validator(mode="after")
    def _knows_the_databases_host(self) -> Self:
        name = self.recovery.database_host
        if name and name not in {host.name for host in self.hosts}:
            names = ", ".join(host.name for host in self.hosts)
            raise ValueError(f"recovery.database_host is {name!r}; write one of [[hosts]] ({names}), or nothing")
        return self

    @model_validator(mode="after")
    def _knows_every_host(self) -> Self:
        names = {host.name for host in self.hosts}
        named = [("certificates.managed", one.title, one.host) for one in self.certificates.managed]
        named += [("security.targets", one.name, one.host) for one in self.security.targets]
        for table, entry, host in named:
            if host and host not in names:
                raise ValueError(
                    f"{table} has {entry} on {host!r}; write one of [[hosts]] ({', '.join(sorted(names))})"
                )
        return self

    @field_validator("public_names")
    @classmethod
    def _are_different_ends(cls, names: tuple[PublicName, ...]) -> tuple[PublicName, ...]:
        refuse_twins((entry.title.lower() for entry in names), "name and port")
        return names


def resolver_address(resolver: str) -> tuple[str, int] | None:
    """Return address and port of a DNS server that `dns.resolver` names; None for this machine's own resolver.

    Raises:
        ValueError: it names neither.
    """
    if resolver == SYSTEM_RESOLVER:
        return None
    host, _, port = resolver.rpartition(":")
    try:
        address, number = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port)
    except ValueError:
        number = 0
    if not 0 < number < 65_536:  # noqa: PLR2004  as TCP and UDP have it
        raise ValueError(
            f'{resolver!r} is no resolver; write "{SYSTEM_RESOLVER}" or "address:port", for example "10.0.0.2:53"'
        )
    return address, number


def settings_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the settings file in force: the one that `TDEV_SETTINGS` names, else the shipped one."""
    named = environment.get(SETTINGS_VARIABLE, "")
    return Path(named) if named else include_dir() / "tdev.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Read and check the settings.

    Raises:
        SettingsError: one sentence a mistake, each with file, key and remedy.
    """
    path = path or settings_path()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file; set {SETTINGS_VARIABLE} to a settings file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: this is not valid TOML: {error}; mend that place.") from None
    try:
        # TOML has arrays and no tuples; everything else is checked strictly.
        return Settings.model_validate(_arrays_to_tuples(data))
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {sentence}" for sentence in _complaints(error))) from None


def _arrays_to_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _arrays_to_tuples(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_arrays_to_tuples(inner) for inner in value)
    return value


def _complaints(error: ValidationError) -> Iterator[str]:
    details = error.errors(include_url=False)
    # A misspelt key is also a missing one: one mistake, one sentence.
    meant = {(*d["loc"][:-1], _meant(d["loc"])) for d in details if d["type"] == "extra_forbidden"}
    broken_inside = {d["loc"][:depth] for d in details for depth in range(1, len(d["loc"]))}
    for detail in details:
        told_in = {"missing": meant, "too_short": broken_inside}.get(detail["type"], set())
        if detail["loc"] not in told_in:
            key = _key(detail["loc"])
            sentence = f"{key}: {_remedy(detail, key)}"
            yield sentence if sentence.endswith(("?", ".")) else f"{sentence}."


def _key(loc: tuple[int | str, ...]) -> str:
    key = ""
    for part in loc:
        key += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if key else part
    return key or "the file"


def _remedy(detail: ErrorDetails, key: str) -> str:
    kind, given, bounds = detail["type"], detail["input"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return f"this key is unknown; {_suggestion(detail['loc'])}"
        case "missing":
            return "this key is missing; add it (include/tdev.toml of the package shows every key with its default)"
        case "greater_than" | "greater_than_equal":
            word = "above" if kind == "greater_than" else "at least"
            return f"{given!r} is too small; give a figure {word} {_bound(bounds, 'gt', 'ge')}{_unit(key)}"
        case "less_than" | "less_than_equal":
            return f"{given!r} is too large; give a figure of at most {_bound(bounds, 'lt', 'le')}{_unit(key)}"
        case "value_error":
            return str(bounds["error"])
        case "too_short":
            return "the list is empty; give at least one"
        case "literal_error":
            return f"{given!r} is not one of the choices; write one of {bounds['expected']}"
        case "string_pattern_mismatch":
            return f"{given!r} is not {_PATTERNS[bounds['pattern']]}"
        case _ if kind.startswith(("int", "float", "finite")):
            return f"{given!r} is not a plain number; write the figure alone{_unit(key)} (the unit stands in the key)"
        case _:
            return f"{detail['msg']}; got {given!r}"


def _bound(bounds: Mapping[str, Any], *kinds: str) -> str:
    return next(f"{bounds[kind]:g}" for kind in kinds if kind in bounds)


_PATTERNS = {
    BUCKET_PATTERN: "a bucket name; use 3 to 63 lower-case letters, digits, dots and hyphens",
    FILE_PATTERN: "an absolute path; begin it with /",
    URL_PATH_PATTERN: "a path of the API; begin it with / and percent-encode blanks",
}
_UNITS = ("days", "hours", "seconds", "percent", "kb", "us", "ms", "mb")


def _unit(key: str) -> str:
    unit = key.rpartition(".")[2].rpartition("_")[2]
    return f" in {unit}" if unit in _UNITS else ""


def _suggestion(loc: tuple[int | str, ...]) -> str:
    if meant := _meant(loc):
        return f"did you mean {meant}?"
    return f"remove it, or use one of: {', '.join(sorted(_known_beside(loc)))}"


def _meant(loc: tuple[int | str, ...]) -> str:
    return next(iter(difflib.get_close_matches(str(loc[-1]), _known_beside(loc), n=1, cutoff=0.6)), "")


def _known_beside(loc: tuple[int | str, ...]) -> list[str]:
    return _keys_of(Settings, [part for part in loc[:-1] if isinstance(part, str)])


def _keys_of(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, UnionType) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)

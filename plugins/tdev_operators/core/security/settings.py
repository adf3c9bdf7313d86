"""`[security]` of the settings: what is scanned, how old a scanner's data may be, by when findings are due."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from tdev_operators.core.setting_types import (
    FILE_PATTERN,
    Days,
    FilePath,
    Positive,
    Seconds,
    Section,
    Text,
    refuse_twins,
)


def place_of(address: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


class DueDays(Section):
    """`[security.due_days]`: how many days there are to mend a finding, by severity."""

    critical: Days
    high: Days
    medium: Days
    low: Days


class ScanTarget(Section):
    """`[[security.targets]]`: an image or a source tree, and where any worker gets it from.

    `reference` is an image in a registry; `archive` a tar in the object store, `s3://bucket/key`: of an image as
    `docker save` writes it, else of a tree (may be .gz); `git` a repository, and `ref` a branch, tag or commit of it;
    `host` one of `[[hosts]]`, and `folder` a folder of it, which is streamed from there.
    """

    name: Text
    kind: Literal["source", "image"]
    reference: str = ""
    archive: Annotated[str, Field(pattern=r"^(s3://[^/]+/.+)?$")] = ""
    git: str = ""
    ref: str = "HEAD"
    host: str = ""
    folder: Annotated[str, Field(pattern=FILE_PATTERN)] | Literal[""] = ""

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        of_kind = {"image": ("reference", "archive"), "source": ("git", "archive", "host")}[self.kind]
        given = [name for name in ("reference", "archive", "git", "host") if getattr(self, name)]
        if len(given) != 1 or given[0] not in of_kind:
            raise ValueError(f"kind = {self.kind!r} comes from one of {' and '.join(of_kind)}; write that one alone")
        if bool(self.host) != bool(self.folder):
            raise ValueError("a tree on a host needs both; write host (of [[hosts]]) and folder (an absolute path)")
        if any(text.startswith("-") for text in (self.reference, self.git, self.ref)):
            raise ValueError("reference, git and ref must not begin with a hyphen; a program would take it for a flag")
        return self

    @field_validator("git")
    @classmethod
    def _holds_no_password(cls, git: str) -> str:
        parts = urlsplit(git)
        if parts.password is not None or (parts.scheme in {"http", "https"} and parts.username):
            raise ValueError("the address of a repository holds a user or password; give git its own credentials")
        return git


class ScanReport(Section):
    """`[[security.reports]]`: a report that another pipeline puts into the store, and how old it may be."""

    name: Annotated[str, Field(pattern=r"^[^,]+$")]
    target: Text
    sarif: Annotated[str, Field(pattern=r"^(s3://[^/]+/.+)?$")] = ""
    cyclonedx: Annotated[str, Field(pattern=r"^(s3://[^/]+/.+)?$")] = ""
    days: Days

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if bool(self.sarif) == bool(self.cyclonedx):
            raise ValueError("a report is of one form; write sarif or cyclonedx, and its s3://bucket/key")
        return self

    @property
    def place(self) -> str:
        """Where it stands."""
        return self.sarif or self.cyclonedx


class HubSettings(Section):
    """`[security.security_hub]`: whose findings are taken, and what Inspector has to look at."""

    products: tuple[Text, ...]
    resources: tuple[Literal["EC2", "ECR", "LAMBDA", "LAMBDA_CODE"], ...]


class AuditSettings(Section):
    """`[security.audit]`: what the weekly audit asks the hosts, and what it takes for much."""

    secret_folders: Annotated[tuple[FilePath, ...], Field(min_length=1)]
    secret_file_kb: Annotated[int, Field(ge=1)]
    secret_seconds: Seconds
    secret_files_accepted: tuple[FilePath, ...] = ()
    package_lists: Annotated[tuple[Text, ...], Field(min_length=1)]
    package_lists_days: Positive
    package_upgrades: Annotated[tuple[Text, ...], Field(min_length=1)]
    airflow_failed_logins: Annotated[int, Field(ge=1)]


class SecuritySettings(Section):
    """`[security]`."""

    timeout_seconds: Seconds
    report_mb: Annotated[int, Field(ge=1)]
    target_mb: Annotated[int, Field(ge=1)]
    data_days: Positive
    cache_folder: str
    waivers_file: str
    kev_file: str
    epss_file: str
    feed_days: Positive
    shown: Annotated[int, Field(ge=1)]
    due_days: DueDays
    security_hub: HubSettings
    audit: AuditSettings
    targets: tuple[ScanTarget, ...] = ()
    reports: tuple[ScanReport, ...] = ()

    @field_validator("targets")
    @classmethod
    def _have_names_of_their_own(cls, targets: tuple[ScanTarget, ...]) -> tuple[ScanTarget, ...]:
        refuse_twins((target.name for target in targets), "name")
        return targets

    @field_validator("reports")
    @classmethod
    def _are_told_apart(cls, reports: tuple[ScanReport, ...]) -> tuple[ScanReport, ...]:
        refuse_twins((report.name for report in reports), "name")
        return reports

"""The report of one item run: one value from which every rendering is made."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.reporting.alerts import silence_of
from tdev_operators.core.reporting.first_things import first_things
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, OutOfScope, Verdict, worst

_REPORTS = uuid.UUID("0b1f8f0e-6d0e-5d7f-9a7e-2f6a1c9f1d27")
_UI_PATH = "/tdev/reports/"


@dataclass(frozen=True, slots=True)
class Finding:
    """A result as it is reported: since when its check is not OK (None: it is, or nobody knows), who silenced it."""

    result: CheckResult
    since: datetime | None = None
    silenced: str = ""


@dataclass(frozen=True)
class Report:
    """Everything from which one run of one item can be judged. Findings are sorted, the worst first.

    `problems` are sentences about the maintenance itself: the ledger was down, a channel is, a silence has expired.
    `url` is absolute; empty when the settings name no user interface.
    """

    id: str
    system: str
    ref: ItemRef
    attempt: int
    started_at: datetime
    ended_at: datetime
    created_at: datetime
    findings: tuple[Finding, ...]
    out_of_scope: tuple[OutOfScope, ...]
    problems: tuple[str, ...]
    product_version: str
    settings_digest: str
    url: str

    @property
    def verdict(self) -> Verdict:
        """The item's verdict: the worst of its results. Problems of the maintenance itself do not change it."""
        return worst(finding.result.verdict for finding in self.findings)

    @cached_property
    def red(self) -> tuple[Finding, ...]:
        """Findings that make the run fail, CRITICAL before UNKNOWN, root causes before what follows from them."""
        return tuple(f for f in self.findings if f.result.verdict.is_red)

    @cached_property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings to look at by day."""
        return tuple(f for f in self.findings if f.result.verdict is Verdict.WARNING)

    @cached_property
    def good(self) -> tuple[Finding, ...]:
        """Findings that are well."""
        return tuple(f for f in self.findings if f.result.verdict is Verdict.OK)

    @cached_property
    def first_things(self) -> tuple[str, ...]:
        """What to look at first, three sentences at most; none where the headline says as much."""
        told = first_things([finding.result for finding in self.findings])
        return told if len(told) > 1 or (told and not self.red and not self.warnings) else ()

    @property
    def bad_since(self) -> datetime | None:
        """The first bad moment of the oldest streak among the red findings, or else among the warnings."""
        return min((f.since for f in self.red or self.warnings if f.since), default=None)

    @property
    def counts(self) -> dict[str, int]:
        """How many results there are of each verdict, the worst first."""
        return {
            verdict.value: sum(f.result.verdict is verdict for f in self.findings)
            for verdict in sorted(Verdict, key=lambda v: -v.badness)
        }

    @property
    def headline(self) -> str:
        """The whole report in one sentence."""
        if self.red:
            first, more = self.red[0].result, len(self.red) - 1
            return f"{first.check}: {first.summary}" + (f" ({more} more red)" if more else "")
        if self.warnings:
            first, more = self.warnings[0].result, len(self.warnings) - 1
            return f"{first.check}: {first.summary}" + (f" ({counted(more, 'more warning')})" if more else "")
        return f"All is well: {counted(len(self.good), 'check')} passed."

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only; `from_json` is the inverse (what can be derived is written, and not read)."""
        return {
            "id": self.id,
            "system": self.system,
            "tier": self.ref.tier,
            "dag_id": self.ref.dag_id,
            "run_id": self.ref.run_id,
            "item": self.ref.item,
            "attempt": self.attempt,
            "verdict": self.verdict.value,
            "headline": self.headline,
            "first_things": list(self.first_things),
            "counts": self.counts,
            "bad_since": self.bad_since.isoformat() if self.bad_since else None,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "created_at": self.created_at.isoformat(),
            "findings": [
                {
                    "since": f.since.isoformat() if f.since else None,
                    "silenced": f.silenced,
                    "result": f.result.to_json(),
                }
                for f in self.findings
            ],
            "out_of_scope": [{"check": o.check, "reason": o.reason, "owner": o.owner} for o in self.out_of_scope],
            "problems": list(self.problems),
            "product_version": self.product_version,
            "settings_digest": self.settings_digest,
            "url": self.url,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a report from `to_json`'s output."""
        return cls(
            id=data["id"],
            system=data["system"],
            ref=ItemRef(data["tier"], data["dag_id"], data["run_id"], data["item"]),
            attempt=data["attempt"],
            started_at=datetime.fromisoformat(data["started_at"]),
            ended_at=datetime.fromisoformat(data["ended_at"]),
            created_at=datetime.fromisoformat(data["created_at"]),
            findings=tuple(
                Finding(
                    result=CheckResult.from_json(f["result"]),
                    since=datetime.fromisoformat(f["since"]) if f["since"] else None,
                    silenced=f["silenced"],
                )
                for f in data["findings"]
            ),
            out_of_scope=tuple(OutOfScope(**o) for o in data["out_of_scope"]),
            problems=tuple(data["problems"]),
            product_version=data["product_version"],
            settings_digest=data["settings_digest"],
            url=data["url"],
        )


def report_id(ref: ItemRef, ended_at: datetime) -> str:
    """Return the id of the report on the attempt that ended then: the same for everybody who asks."""
    return str(uuid.uuid5(_REPORTS, f"{ref.dag_id}\n{ref.run_id}\n{ref.item}\n{ended_at.isoformat()}"))


def report_path(identity: str) -> str:
    """Return the path of a report's page below the user interface's address."""
    return f"{_UI_PATH}{identity}"


def report_url(settings: Settings, identity: str) -> str:
    """Return the address of a report's page."""
    return settings.alerts.ui_base_url.rstrip("/") + report_path(identity)


def build_report(
    ref: ItemRef,
    outcome: ItemOutcome,
    settings: Settings,
    *,
    attempt: int,
    bad_since: Mapping[str, datetime],
    problems: Sequence[str] = (),
    now: datetime,
) -> Report:
    """Put together what is known about one item run.

    `bad_since` has, for each check that is not OK, the first moment of its unbroken streak; `problems` are sentences
    about the maintenance itself, to which expired silences of this item's checks are added.
    """
    findings = []
    for result in outcome.results:
        silence = silence_of(result.check, settings.silences, now) if result.verdict.is_red else None
        held = f"Silenced by {silence.owner} until {silence.until:%Y-%m-%d %H:%M}: {silence.reason}" if silence else ""
        since = None if result.verdict is Verdict.OK else bad_since.get(result.check)
        findings.append(Finding(result, since, held))
    findings.sort(
        key=lambda f: (-f.result.verdict.badness, bool(f.result.because_of), bool(f.silenced), f.result.check)
    )
    expired = [
        f"The silence of {silence.check} by {silence.owner} expired on {silence.until:%Y-%m-%d %H:%M} and no longer "
        f"holds; remove it from the settings."
        for silence in settings.silences
        if silence.until <= now and any(silence.covers(result.check) for result in outcome.results)
    ]
    identity = report_id(ref, outcome.ended_at)
    return Report(
        id=identity,
        system=settings.system.name,
        ref=ref,
        attempt=attempt,
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
        created_at=now,
        findings=tuple(findings),
        out_of_scope=outcome.out_of_scope,
        problems=(*problems, *expired),
        product_version=product_version(),
        settings_digest=settings_digest(settings),
        url=report_url(settings, identity),
    )


def product_version() -> str:
    """Return the version of this product as installed."""
    try:
        return version("tdev-maintenance")
    except PackageNotFoundError:
        return "not installed"


def settings_digest(settings: Settings) -> str:
    """Return a short fingerprint of all settings: two reports with the same one were made under the same rules."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:12]

"""The monthly look ahead: each figure's growth, and the day on which it meets its limit (guide: capacity planning)."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from tdev_operators.core.database.capacity import figures
from tdev_operators.core.database.capacity.outlook import Figure, Outlook, outlook, shortage
from tdev_operators.core.database.capacity.settings import CapacitySettings
from tdev_operators.core.database.capacity.trend import DAY
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import ItemStore, Sample
from tdev_operators.core.ports import Clock
from tdev_operators.core.reporting.wording import rounded
from tdev_operators.core.scope import parted
from tdev_operators.core.verdicts import CheckResult

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

_DRAWN = 4  # pictures a result


@dataclass(frozen=True, slots=True)
class Subject:
    """One result of the look ahead: which samples it rests on and which figures it has.

    Where figures `come_and_go` (tables do), a young one is told and not missed.
    """

    name: str
    kind: str
    figures: "Callable[[Sequence[Sample], CapacitySettings], Iterable[Figure]]"
    hint: str
    come_and_go: bool = False
    nothing: str = ""


SUBJECTS = (
    Subject(
        "capacity.database",
        "sizes",
        figures.database,
        "See which tables grow (capacity.tables); shorten their retention, or order disk before that day.",
    ),
    Subject(
        "capacity.tables",
        "sizes",
        figures.tables,
        "Give a table that only grows a retention rule, or partitions that can go as a whole.",
        come_and_go=True,
    ),
    Subject(
        "capacity.buckets",
        "buckets",
        figures.buckets,
        "Look at what is kept (backup retention, agents that nobody runs), or raise the bucket's budget.",
    ),
    Subject(
        "capacity.wal",
        "activity",
        figures.wal,
        "More WAL fills archives and slows standbys: see wal_bytes of pg_stat_statements, and indexes nobody uses.",
    ),
    Subject(
        "capacity.connections",
        "activity",
        figures.connections,
        "Put a pool (PgBouncer) before the database, or raise max_connections on standbys first, then here.",
    ),
    Subject(
        "capacity.disk",
        "disks",
        figures.disk,
        "Order space before that day, or remove what grows: du -xh --max-depth=2 <mount> | sort -h | tail.",
        nothing="no disk is sampled; name the database's host in recovery.database_host, or put this out of scope",
    ),
)


def plan_capacity(ledger: ItemStore, settings: "Settings", clock: Clock) -> ItemOutcome:
    """Return the outlook of everything that grows, from the samples that `performance_analysis` took each day.

    What has not enough history, or samples too old, is UNKNOWN and says how much is missing. Reads the ledger only.
    """
    now = clock()
    since = now - settings.capacity.history_days * DAY
    wanted, out_of_scope = parted([subject.name for subject in SUBJECTS], settings)
    kept: dict[str, Sequence[Sample] | None] = {}
    results = []
    for subject in SUBJECTS:
        if subject.name not in wanted:
            continue
        if subject.kind not in kept:
            kept[subject.kind] = ledger.samples(settings.system.name, subject.kind, since)
        begun = time.monotonic()
        result = subject_result(subject, kept[subject.kind], settings.capacity, now)
        results.append(result.timed(time.monotonic() - begun))
    return ItemOutcome(tuple(results), now, clock(), out_of_scope)


def subject_result(
    subject: Subject, samples: Sequence[Sample] | None, settings: CapacitySettings, now: datetime
) -> CheckResult:
    """Foretell one subject's figures; None for samples means that the ledger could not be asked."""
    findings = Findings(subject.name)
    if samples is None:
        findings.skip("history", "the ledger's database is down")
        return findings.conclude("Nothing can be foretold.", hint="Bring the ledger's database back; clear this task.")
    young: list[str] = []
    seen: list[Outlook] = []
    for figure in subject.figures(samples, settings):
        why = shortage(figure, settings, now)
        if not why:
            seen.append(outlook(figure, settings))
        elif subject.come_and_go and figure.points and len(samples) > len(figure.points):
            young.append(f"{figure.name}: {why}")
        else:
            findings.skip(figure.name, why)
    for each in seen:
        findings.saw(each.figure.name)
        findings.found(each.verdict, each.sentence)
        _measure(findings, each, settings)
    if not seen and not findings.skipped:
        if samples and subject.come_and_go:
            findings.saw(f"{len(samples)} samples")
        else:
            findings.skip(subject.kind, subject.nothing or f"no sample of {subject.kind} was taken yet")
    ordered = sorted(seen, key=_urgency)
    worth_drawing = [each for each in ordered if not each.stays_level] or ordered[:1]
    nothing = "No table is large enough to be foretold." if subject.come_and_go else "Nothing can be foretold yet."
    told = [each.sentence for each in ordered[:2]]
    concluded = findings.conclude(
        " ".join(told) or nothing,
        hint=subject.hint if seen else "The item performance_analysis takes a sample each day: let it run.",
        data_age_seconds=(now - samples[-1].taken_at).total_seconds() if samples else 0.0,
    )
    return replace(
        concluded,
        series=tuple(each.series for each in worth_drawing[:_DRAWN]),
        details=(*(line for each in ordered for line in _lines(each) if line not in told), *young),
    )


def _urgency(each: Outlook) -> tuple[int, float, float]:
    """Sort by how bad, by what is left, by how fast it grows against its size."""
    size = abs(each.figure.points[-1].value) or 1.0
    left = each.days_left
    return -each.verdict.badness, float("inf") if left is None else left, -each.trend.slope / size


def _measure(findings: Findings, each: Outlook, settings: CapacitySettings) -> None:
    unit = each.figure.unit
    findings.measure(each.figure.name, rounded(each.figure.points[-1].value), unit)
    findings.measure(f"{each.figure.name}, growth in 30 days", rounded(30 * each.trend.slope), unit)
    if each.days_left is not None:
        findings.measure(f"{each.figure.name}, days to its limit", each.days_left, "d", settings.days_left)


def _lines(each: Outlook) -> list[str]:
    trend = each.trend
    told = [each.sentence]
    told += [
        f"{each.figure.name}: a step of {step.by:+.3g} {each.figure.unit} before {step.when:%Y-%m-%d} is left out of "
        "the growth"
        for step in trend.steps
    ]
    return told

"""What a run over a bucket says of itself: figures, findings for people, and lines while it goes on."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

_PACE_SECONDS = 5.0
_SHOWN = 3
_HINTS = {
    Verdict.CRITICAL: "Take a full backup, and look for the cause in the store.",
    Verdict.WARNING: "Look at who writes and deletes in this bucket.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person must know: WARNING or CRITICAL, one sentence, and the key that it is about, if one."""

    verdict: Verdict
    summary: str
    key: str = ""


# A damaged bucket has as many findings as objects; the figures count them all.
FINDINGS_KEPT = 100


@dataclass(slots=True)
class Tally:
    """Figures and findings of one part of a run; parts are added up. Not thread-safe: each part has its own."""

    figures: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def count(self, **figures: int) -> None:
        """Add to figures by name."""
        self.figures.update(figures)

    def found(self, verdict: Verdict, summary: str, key: str = "") -> None:
        """Keep a finding, as long as there are not too many."""
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(Finding(verdict, summary, key))

    def add(self, other: "Tally") -> None:
        """Take over what another part counted and found."""
        self.figures.update(other.figures)
        for finding in other.findings:
            self.found(finding.verdict, finding.summary, finding.key)


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """How a snapshot came about.

    Objects: all in the snapshot, of which `unchanged` are referred to, `packed`, `copied` on the store's side or
    `streamed` through us by this set, `reused` of a dead attempt at the same set. `deleted` since the previous set.
    `changed` and `vanished` between the listing and the read; `unreadable` are not in the snapshot, though listed.
    `resampled` unchanged ones were read again (`resampled_bytes`), `mismatches` of them were wrong and were stored
    anew. `oldest_verified_days` is how long ago the bytes of the snapshot's least recently read object were read.
    `requests` by kind are those of the store during the run, whoever made them.
    """

    name: str
    objects: int
    bytes: int
    unchanged: int
    packed: int
    packed_bytes: int
    packs: int
    copied: int
    copied_bytes: int
    streamed: int
    streamed_bytes: int
    reused: int
    deleted: int
    changed: int
    vanished: int
    unreadable: int
    resampled: int
    resampled_bytes: int
    live_looks: int
    mismatches: int
    oldest_verified_days: float
    requests: Mapping[str, int]
    seconds: float
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst finding; OK when there is none."""
        return worst([Verdict.OK, *(finding.verdict for finding in self.findings)])

    def result(self) -> CheckResult:
        """Return what a report says of this bucket."""
        parts = [f"{self.unchanged:,} unchanged", f"{self.packed:,} packed", f"{self.copied + self.streamed:,} copied"]
        parts += [
            f"{number:,} {word}"
            for number, word in (
                (self.changed, "changed meanwhile"),
                (self.vanished, "vanished meanwhile"),
                (self.deleted, "deleted since the last set"),
                (self.unreadable, "not in the set"),
            )
            if number
        ]
        summary = " ".join(
            (
                f"{self.objects:,} objects of {self.bytes / 1e6:,.1f} MB in {self.seconds:.1f} s: {', '.join(parts)}.",
                *(finding.summary for finding in self.findings[:_SHOWN]),
                *self.notes,
            )
        )
        measured = (
            Measurement("objects", self.objects),
            Measurement("unchanged", self.unchanged),
            Measurement("read again", self.resampled),
            Measurement("wrong", self.mismatches),
            Measurement("least recently read", round(self.oldest_verified_days, 2), "days"),
            Measurement("duration", round(self.seconds, 2), "s"),
        )
        hint = _HINTS.get(self.verdict, "")
        return CheckResult(
            f"backup.bucket_{self.name}", self.verdict, summary, measured, hint, Coverage(seen=(self.name,))
        )


class Pace:
    """Lines of progress with rate and estimate, one every few seconds at most."""

    def __init__(self, progress: Callable[[str], None], what: str, *, unit: str = "objects", expected: int = 0) -> None:
        """`what` begins each line; `expected` is how many there will be, 0 when nobody knows."""
        self._progress = progress
        self._what = what
        self._unit = unit
        self.expected = expected
        self._start = self._last = time.monotonic()

    @property
    def started(self) -> float:
        """When it began, on the monotonic clock."""
        return self._start

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def reached(self, done: int) -> None:
        """Say how far it is, unless it was said just now."""
        now = time.monotonic()
        if now - self._last < _PACE_SECONDS:
            return
        self._last = now
        rate = done / (now - self._start)
        line = f"{self._what}: {done:,} {self._unit}, {rate:,.0f}/s"
        if self.expected > done and rate:
            line += f", about {(self.expected - done) / rate:,.0f} s left"
        self._progress(line)

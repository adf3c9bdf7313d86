"""What a change did: the counters of a day before it beside those of the day after. Pure; `sampling` takes them.

PostgreSQL's counters only grow, so two samples give what happened between them. Where no sample is about a day older
than the change, what the counters held since they began stands for "before", and the result says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.ledger import Sample
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "tuning.effect"
SAMPLES = "tuning_effect"  # the ledger's kind
BEFORE, LOOK = "before", "look"
LOOK_BACK = timedelta(days=31)  # a change that is older is no news
_DAY = timedelta(hours=24)
_NOTEWORTHY_PERCENT = 20
_STATEMENTS = 5
_MINIMUM_CALLS = 20
_RATES = ("temp_files", "temp_bytes", "checkpoints_timed", "checkpoints_requested")
_WORDS = {
    "temp_files": "temporary files a day",
    "temp_bytes": "MiB of temporary files a day",
    "checkpoints_timed": "checkpoints a day by the clock",
    "checkpoints_requested": "checkpoints a day because WAL ran full",
}


@dataclass(frozen=True, slots=True)
class Span:
    """What happened between two samples, as rates. None: not known."""

    hours: float
    cache_hit_percent: float | None
    per_day: Mapping[str, float | None]
    statements: Mapping[str, tuple[float, float, float]]  # key: calls, mean ms, deviation ms


def judge(samples: Sequence[Sample] | None, now: Sample, *, effect_hours: float) -> CheckResult:
    """Show the newest change's day before beside its day after.

    `samples` are those of the last month, None when nobody knows; `now` was taken just now. It is never red for being
    early; worse than before is a WARNING.
    """
    if samples is None:
        summary = "Nobody knows what was changed and how it was before: the ledger's database is down."
        skipped = {"the samples": "the ledger's database is down"}
        return CheckResult(CHECK, Verdict.UNKNOWN, summary, coverage=Coverage(skipped=skipped))
    change = next((one for one in reversed(samples) if one.facts.get("moment") == BEFORE), None)
    if change is None:
        return _note("Nothing was changed in the last month, so there is no effect to measure.")
    about = f"{', '.join(change.facts.get('changes', ())) or 'something'} ({change.facts.get('tuning_id', '')})"
    later = [one for one in (*samples, now) if one.taken_at > change.taken_at]
    after = _nearest(later, change.taken_at + timedelta(hours=effect_hours))
    passed = (now.taken_at - change.taken_at) / timedelta(hours=1)
    if passed < effect_hours or after is None:
        return _note(
            f"{about} was changed {passed:.1f} hours ago: not enough time yet to measure, {effect_hours:g} are needed."
        )
    earlier = [one for one in samples if one.taken_at <= change.taken_at - timedelta(hours=1)]
    base = _nearest(earlier, change.taken_at - _DAY)
    follows = span(change, after)
    beginning = base is None or not _same_counters(base, change)
    precedes = span(base, change) if base and not beginning else since_the_beginning(change)
    if follows is None or precedes is None:
        reason = "the statistics were reset meanwhile, or the server crashed"
        summary = f"The effect of {about} cannot be measured: {reason}."
        return CheckResult(CHECK, Verdict.UNKNOWN, summary, coverage=Coverage(skipped={"the counters": reason}))
    told = ["before: all since the counters began, for no sample is a day older than the change"] if beginning else []
    return _compared(about, change, after, precedes, follows, told)


def span(first: Sample, last: Sample) -> Span | None:
    """Return what happened between two samples; None when the counters began anew in between."""
    if not _same_counters(first, last) or last.taken_at <= first.taken_at:
        return None
    return _span(first.facts, last.facts, last.taken_at - first.taken_at)


def since_the_beginning(sample: Sample) -> Span | None:
    """Return what happened since the counters began; None where they are too young to mean anything."""
    since = datetime.fromisoformat(sample.facts["since"])
    passed = sample.taken_at - since
    return _span({}, sample.facts, passed) if passed > timedelta(minutes=1) else None


def _span(first: Mapping[str, Any], last: Mapping[str, Any], passed: timedelta) -> Span:
    def grown(key: str) -> float | None:
        if last.get(key) is None:
            return None
        return float(last[key]) - float(first.get(key) or 0)

    days = passed / timedelta(days=1)
    hits, reads = grown("blocks_hit"), grown("blocks_read")
    per_day = {key: None if (value := grown(key)) is None else value / days for key in _RATES}
    percent = 100 * hits / (hits + reads) if hits is not None and reads is not None and hits + reads > 0 else None
    return Span(
        passed / timedelta(hours=1),
        percent,
        per_day,
        _statements(first.get("statements") or {}, last.get("statements") or {}),
    )


def _statements(
    first: Mapping[str, Sequence[Any]], last: Mapping[str, Sequence[Any]]
) -> dict[str, tuple[float, float, float]]:
    """Return calls, mean and deviation of what ran in between; both samples hold means since the beginning."""
    found = {}
    for key, (calls, mean, deviation, *_) in last.items():
        calls_0, mean_0, deviation_0 = (first[key][:3]) if key in first else (0, 0.0, 0.0)
        if calls < calls_0:
            calls_0, mean_0, deviation_0 = 0, 0.0, 0.0  # it was evicted and counted anew
        many = calls - calls_0
        if many < _MINIMUM_CALLS:
            continue
        new_mean = (calls * mean - calls_0 * mean_0) / many
        squares = calls * (deviation**2 + mean**2) - calls_0 * (deviation_0**2 + mean_0**2)
        found[key] = (many, max(new_mean, 0.0), math.sqrt(max(squares / many - new_mean**2, 0.0)))
    return found


def _compared(about: str, change: Sample, after: Sample, before: Span, follows: Span, lines: list[str]) -> CheckResult:
    lines = [*lines, _pair("hours looked at", before.hours, follows.hours, ".1f")]
    lines.append(_pair("cache hits in %", before.cache_hit_percent, follows.cache_hit_percent, ".2f"))
    for key in _RATES:
        scale = 1024 * 1024 if key == "temp_bytes" else 1
        old, new = before.per_day[key], follows.per_day[key]
        lines.append(_pair(_WORDS[key], old and old / scale, new and new / scale, ".1f"))
    worse = []
    for key, word in (("api_p95_ms", "API p95 in ms"), ("log_p95_ms", "logged requests' p95 in ms")):
        old, new = change.facts.get(key), after.facts.get(key)
        lines.append(_pair(word, old, new, ".1f"))
        if old and new and new > old * (1 + _NOTEWORTHY_PERCENT / 100):
            worse.append(f"{word} rose from {old:.1f} to {new:.1f}")
    both = [key for key in follows.statements if key in before.statements]
    both.sort(key=lambda key: -follows.statements[key][0] * follows.statements[key][1])
    texts = after.facts.get("statements") or {}
    for key in both[:_STATEMENTS]:
        (calls_0, mean_0, deviation_0), (calls, mean, deviation) = before.statements[key], follows.statements[key]
        text = str(texts[key][3])
        lines.append(
            f"{mean_0:.2f} ± {deviation_0:.2f} ms in {calls_0:.0f} calls -> {mean:.2f} ± {deviation:.2f} ms in "
            f"{calls:.0f}: {text}"
        )
        if mean > mean_0 * (1 + _NOTEWORTHY_PERCENT / 100) and mean - mean_0 > deviation_0:
            worse.append(f"«{text[:60]}» takes {mean:.2f} ms instead of {mean_0:.2f}")
    missing = {
        word: "not told before or after"
        for key, word in (("api_p95_ms", "the API's p95"), ("statements", "statements: pg_stat_statements is missing"))
        if change.facts.get(key) is None or after.facts.get(key) is None
    }
    said = f"{about} was changed at {change.taken_at:%Y-%m-%d %H:%M} UTC."
    said += f" Since then {'; '.join(worse)}." if worse else " Nothing became noteworthily worse since then."
    measurements = (
        Measurement("cache hits before", before.cache_hit_percent, "%"),
        Measurement("cache hits after", follows.cache_hit_percent, "%"),
        Measurement("API p95 before", change.facts.get("api_p95_ms"), "ms"),
        Measurement("API p95 after", after.facts.get("api_p95_ms"), "ms"),
    )
    seen = tuple(change.facts.get("changes", ())) or ("the change",)
    hint = f"Take it back with `tdev_apply_tuning`, *Undo* = {change.facts.get('tuning_id', '')}." if worse else ""
    coverage = Coverage(seen=seen, skipped=missing)
    verdict = Verdict.WARNING if worse else Verdict.OK
    return CheckResult(CHECK, verdict, said, measurements, hint, coverage, details=tuple(lines))


def _note(sentence: str) -> CheckResult:
    return CheckResult(CHECK, Verdict.OK, sentence, coverage=Coverage(seen=("the ledger's samples",)))


def _nearest(samples: Sequence[Sample], moment: datetime) -> Sample | None:
    return min(samples, key=lambda one: abs(one.taken_at - moment), default=None)


def _same_counters(first: Sample, last: Sample) -> bool:
    return first.facts.get("since") == last.facts.get("since")


def _pair(word: str, old: float | None, new: float | None, form: str) -> str:
    shown = ["unknown" if value is None else format(value, form) for value in (old, new)]
    return f"{word}: {shown[0]} before, {shown[1]} after"

"""Figures, times and ages as people read them. All times are UTC."""

import math
from datetime import datetime

from tdev_operators.core.verdicts import CheckResult, Measurement

# More names than this hide the sentence that they stand beside.
_NAMED_TARGETS = 6
_ONE_DECIMAL_FROM = 100
_TENTHS_BELOW_SECONDS = 10
_STEPS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def moment(when: datetime) -> str:
    """Return `2026-11-23 09:00 UTC`."""
    return when.strftime("%Y-%m-%d %H:%M UTC")


def span(seconds: float) -> str:
    """Return a length of time with two figures at most: `45 ms`, `1.2 s`, `15 min`, `3 h`, `12 d`."""
    seconds = max(seconds, 0.0)
    for length, unit in _STEPS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < _TENTHS_BELOW_SECONDS else f"{seconds:.0f} s"


def number(value: float | None) -> str:
    """Return a figure without noise: `12,345`, `0.0123`, `not measured`."""
    if value is None:
        return "not measured"
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= _ONE_DECIMAL_FROM else f"{value:.3g}"


def rounded(value: float) -> float:
    """Return a figure with three digits: more would be noise."""
    return float(f"{value:.3g}")


def capitalized(text: str) -> str:
    """Return a text that begins a sentence: `str.capitalize` would make the rest of it small."""
    return text[:1].upper() + text[1:]


def figure(measurement: Measurement) -> str:
    """Return `dead tuples of metrics: 31 % (warning 10, critical 20)`."""
    limits = ", ".join(
        f"{word} {number(limit)}"
        for word, limit in (("warning", measurement.warning), ("critical", measurement.critical))
        if limit is not None
    )
    shown = f"{measurement.name}: {number(measurement.value)} {measurement.unit}".strip()
    return f"{shown} ({limits})" if limits else shown


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return `1 check`, `3 checks`; `plural` where an s makes none: `2 indexes`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def figures(result: CheckResult) -> str:
    """Return all figures of a result in one line; empty when there are none."""
    return "; ".join(figure(measurement) for measurement in result.measurements)


def coverage(result: CheckResult) -> str:
    """Return how much a result rests on, in one line: targets seen and skipped, age of the data, tool, canary, time."""
    seen = result.coverage
    parts = [f"looked at {counted(len(seen.seen), 'target')}"]
    if 0 < len(seen.seen) <= _NAMED_TARGETS:
        parts[0] += f" ({', '.join(seen.seen)})"
    if seen.skipped:
        parts.append("skipped " + ", ".join(f"{target} ({reason})" for target, reason in seen.skipped.items()))
    if seen.data_age_seconds:
        parts.append(f"data {span(seen.data_age_seconds)} old")
    if seen.tool:
        parts.append(seen.tool)
    if seen.canary_found is not None:
        parts.append("canary found" if seen.canary_found else "canary NOT found")
    parts.append(f"took {span(result.duration_seconds)}")
    return "; ".join(parts)

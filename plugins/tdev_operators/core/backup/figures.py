"""What a set says of itself beside the sets before it: sizes, time, compression, recovery point, cost of requests.

Everything is computed from manifests. Only figures of like sets are compared: what a full set stores says nothing
about one that refers to earlier sets.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from tdev_operators.core.backup.manifest import Manifest, State
from tdev_operators.core.backup.set_records import SetOnDisk, files_of
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.reporting.wording import counted, moment, number, span
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

TREND_SETS = 10

# Fewer sets than this have no usual size.
_TREND_MINIMUM = 3
_MB = 1_000_000
_DAY_HOURS = 24.0


def figures_of(
    manifest: Manifest, earlier: Sequence[Manifest], settings: BackupSettings, *, seconds: float
) -> tuple[CheckResult, ...]:
    """Return the results about one complete set.

    `earlier` are manifests of sets before it, in any order (later ones and other kinds are left out where they do not
    count); `seconds` is how long the back-up took by the clock of whoever waited.
    """
    before = sorted((one for one in earlier if one.sequence < manifest.sequence), key=lambda one: -one.sequence)
    return (
        _set(manifest, before[:TREND_SETS], seconds),
        _sizes(manifest, before, settings.unusual_size_percent),
        request_cost(manifest.set_id, manifest.requests, settings.price_per_1000),
    )


def stored_bytes(manifest: Manifest) -> int:
    """Return how many bytes this set itself stored, copies of large objects included."""
    copies = sum(snapshot.copied_bytes for snapshot in manifest.buckets)
    return sum(file.size_bytes for file in files_of(manifest)) + copies


def recovery_point_age(newest: SetOnDisk | None, now: datetime, settings: BackupSettings) -> CheckResult:
    """Judge the age of the newest PROVEN set: how much would be lost if the database went now.

    `now` is the database's clock. WARNING when last night's set is not the newest, CRITICAL a day later, and when
    nothing is proven at all.
    """
    check = "backup.recovery_point"
    warning = _DAY_HOURS + settings.expected_hours
    critical = warning + _DAY_HOURS
    hint = "See why the last back-ups were not proven: `tdev backup list`, and the report of backup_verification."
    if newest is None or newest.manifest is None or not newest.reached(State.PROVEN):
        return CheckResult(
            check, Verdict.CRITICAL, "There is no proven back-up.", hint=hint, coverage=Coverage(seen=("backups",))
        )
    point = newest.recovery_point
    hours = (now - point) / timedelta(hours=1)
    measured = Measurement("age of the recovery point", round(hours, 2), "h", warning, critical)
    coverage = Coverage(seen=(newest.set_id,))
    if hours < 0:
        verdict, summary = (
            Verdict.UNKNOWN,
            f"{newest.set_id} is of {moment(point)}, later than now; see whose clock is wrong.",
        )
    else:
        verdict = Verdict.CRITICAL if hours >= critical else Verdict.WARNING if hours >= warning else Verdict.OK
        summary = f"The newest proven back-up, {newest.set_id}, goes back to {moment(point)}, {span(hours * 3600)} ago."
    return CheckResult(
        check, verdict, summary, (measured,), hint="" if verdict is Verdict.OK else hint, coverage=coverage
    )


def request_cost(set_id: str, requests: Mapping[str, int], price_per_1000: Mapping[str, float]) -> CheckResult:
    """Tell how many requests were made and what they cost by the price list; a kind without a price is named."""
    unpriced = sorted(kind for kind in requests if kind not in price_per_1000)
    cost = sum(number_of / 1000 * price_per_1000.get(kind, 0) for kind, number_of in requests.items())
    listed = ", ".join(f"{kind} {count:,}" for kind, count in sorted(requests.items()))
    summary = f"{sum(requests.values()):,} requests ({listed or 'none'}) cost {cost:.4f} USD by the price list"
    summary += f"; backup.price_per_1000 has no price for {', '.join(unpriced)}." if unpriced else "."
    measured = [Measurement(f"requests {kind}", count, "") for kind, count in sorted(requests.items())]
    return CheckResult(
        "backup.requests",
        Verdict.WARNING if unpriced else Verdict.OK,
        summary,
        (*measured, Measurement("cost of requests", round(cost, 6), "USD")),
        hint="Add the kind to backup.price_per_1000." if unpriced else "",
        coverage=Coverage(seen=(set_id,)),
    )


def _set(manifest: Manifest, before: Sequence[Manifest], seconds: float) -> CheckResult:
    raw = sum(dump.raw_bytes for dump in manifest.databases)
    packed = sum(dump.stored_bytes for dump in manifest.databases)
    objects = sum(snapshot.objects for snapshot in manifest.buckets)
    bucket_bytes = sum(snapshot.bytes for snapshot in manifest.buckets)
    stored = stored_bytes(manifest)
    ratio, usual = _ratio(manifest), [_ratio(one) for one in before if _ratio(one)]
    trend = f" (median of the last {len(usual)}: {median(usual):.1f})" if usual else ""
    took = [(one.completed_at - one.started_at).total_seconds() for one in before if one.full == manifest.full]
    usually = f" (usually {span(median(took))})" if took else ""
    kind = "Full set" if manifest.full else "Set"
    summary = (
        f"{kind} {manifest.set_id} took {span(seconds)}{usually}: {counted(len(manifest.databases), 'database')} of "
        f"{raw / _MB:,.1f} MB, {ratio:.1f} times compressed{trend}; {counted(objects, 'object')} of "
        f"{bucket_bytes / _MB:,.1f} MB; {stored / _MB:,.1f} MB stored. "
        f"Recovery point {moment(manifest.recovery_point)}."
    )
    measurements = (
        Measurement("duration", round(seconds, 1), "s"),
        Measurement("database, as dumped", raw, "bytes"),
        Measurement("database, stored", packed, "bytes"),
        Measurement("compression of the database", round(ratio, 3), "times"),
        Measurement("objects", objects),
        Measurement("bytes in buckets", bucket_bytes, "bytes"),
        Measurement("stored by this set", stored, "bytes"),
    )
    return CheckResult("backup.set", Verdict.OK, summary, measurements, coverage=Coverage(seen=(manifest.set_id,)))


def _ratio(manifest: Manifest) -> float:
    packed = sum(dump.stored_bytes for dump in manifest.databases)
    return sum(dump.raw_bytes for dump in manifest.databases) / packed if packed else 0.0


def _sizes(manifest: Manifest, before: Sequence[Manifest], unusual_percent: float) -> CheckResult:
    """Hold each size against the median of the last ten sets that have such a figure."""
    measurements, unusual, compared = list[Measurement](), list[str](), 0
    for name, value in _comparable(manifest).items():
        usual = [figures[name] for one in before if name in (figures := _comparable(one))][:TREND_SETS]
        if len(usual) < _TREND_MINIMUM:
            measurements.append(Measurement(name, value))
            continue
        compared += 1
        middle = median(usual)
        off = abs(value - middle) / middle * 100 if middle else (0.0 if value == 0 else float(unusual_percent) + 1)
        measurements.append(Measurement(f"{name}, off the median", round(off, 1), "%", warning=unusual_percent))
        if off > unusual_percent:
            unusual.append(f"{name} {number(value)} instead of about {number(middle)}")
    unusual += [f"{part} was in the set before and is missing" for part in _lost(manifest, before)]
    coverage = Coverage(seen=(manifest.set_id,))
    if unusual:
        return CheckResult(
            "backup.size",
            Verdict.WARNING,
            f"The sizes of {manifest.set_id} are unusual: {'; '.join(unusual)}.",
            tuple(measurements),
            hint="See what was added and what is missing; what earlier sets hold can be restored from them.",
            coverage=coverage,
        )
    summary = (
        f"{counted(compared, 'size')} within {number(unusual_percent)} % of the median of the last sets."
        if compared
        else f"Fewer than {_TREND_MINIMUM} earlier sets: nothing to compare sizes with yet."
    )
    return CheckResult("backup.size", Verdict.OK, summary, tuple(measurements), coverage=coverage)


def _comparable(manifest: Manifest) -> dict[str, float]:
    figures: dict[str, float] = {}
    for dump in manifest.databases:
        figures[f"bytes of database {dump.name}"] = dump.raw_bytes
        figures[f"rows of database {dump.name}"] = dump.rows
        figures[f"tables of database {dump.name}"] = dump.tables
        figures[f"bytes of database {dump.name}, stored"] = dump.stored_bytes
    for snapshot in manifest.buckets:
        figures[f"objects of bucket {snapshot.name}"] = snapshot.objects
        figures[f"bytes of bucket {snapshot.name}"] = snapshot.bytes
    if manifest.full:  # what another set stores depends on what changed that day
        figures["bytes stored by a full set"] = stored_bytes(manifest)
    return figures


def _lost(manifest: Manifest, before: Sequence[Manifest]) -> list[str]:
    return sorted(_parts(before[0]) - _parts(manifest)) if before else []


def _parts(manifest: Manifest) -> set[str]:
    databases = {f"database {dump.name}" for dump in manifest.databases}
    return databases | {f"bucket {snapshot.name}" for snapshot in manifest.buckets}

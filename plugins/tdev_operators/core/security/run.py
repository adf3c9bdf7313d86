"""A scan from its targets to the ledger: every scanner on every target at once, then one merge, then the judgement."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.errors import TdevError, sentence_of
from tdev_operators.core.ports import StreamingHost
from tdev_operators.core.private_folders import private_folder
from tdev_operators.core.security.fetching import Sources, fetch
from tdev_operators.core.security.findings import Finding, identified
from tdev_operators.core.security.judging import judge, not_judged
from tdev_operators.core.security.ledger import FindingsLedger, Look, Scope, Seen, Sort
from tdev_operators.core.security.reports import NAME as REPORTS
from tdev_operators.core.security.reports import read_reports
from tdev_operators.core.security.scanners import all_scanners
from tdev_operators.core.security.scanning import Ground, Limits, Scan, Scanner, Target, plant, scan
from tdev_operators.core.security.security_hub import NAME as HUB
from tdev_operators.core.security.security_hub import SecurityHub, scan_hub
from tdev_operators.core.security.settings import ScanTarget, SecuritySettings
from tdev_operators.core.security.urgency import Feeds, due_days_of, priority_of, read_feeds
from tdev_operators.core.security.waivers import Waiver, read_waivers, waiver_of
from tdev_operators.core.settings import Settings, settings_path
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

_log = logging.getLogger(__name__)

_RETRY_HOURS = 6
_TARGETS_AT_ONCE, _AT_ONCE = 2, 3  # programs of a target: each uses more than one core for a moment


@dataclass(frozen=True, slots=True)
class ScanPorts:
    """What a scan works with. `environment` are secrets of scanners, by their own names."""

    store: BackupStore
    ledger: FindingsLedger
    hub: SecurityHub
    hosts: Mapping[str, StreamingHost] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def scan_all(
    ports: ScanPorts,
    settings: Settings,
    *,
    at: datetime,
    whole: bool = False,
    switched_off: frozenset[str] = frozenset(),
    progress: Callable[[str], object] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> tuple[CheckResult, ...]:
    """Scan every target with every scanner that fits it, merge what they found, and judge what the ledger then holds.

    Returns one result a scanner, and the judgement's. A scanner or target that fails is UNKNOWN, and the others go on.
    `at` is the moment that stands in the ledger: the same in every try of a run. `switched_off` are names of results.
    `whole`: what did not change is scanned again, too, and all that is open is told.

    Raises:
        TransientError: the ledger is away. SettingsError: the file of waivers is wrong. BusyError: see `check`.
    """
    security = settings.security
    waivers = read_waivers(settings_path().parent / security.waivers_file, at) if security.waivers_file else ()
    scanners = [one for one in all_scanners() if f"scan.{one.name}" not in switched_off]
    scans: list[Scan] = []
    if f"scan.{HUB}" not in switched_off:
        scans.append(scan_hub(ports.hub, security.security_hub.products, security.security_hub.resources))
        check()
    if f"scan.{REPORTS}" not in switched_off:
        scans += read_reports(ports.store, security.reports, security.report_mb, at)
    with private_folder() as folder, ThreadPoolExecutor(_TARGETS_AT_ONCE, thread_name_prefix="target") as pool:
        started = [
            pool.submit(_scanned, ports, settings, wanted, scanners, folder / str(number), at, progress, whole=whole)
            for number, wanted in enumerate(security.targets)
        ]
        for future in started:
            scans += future.result()
            check()
    feeds, doubts = _feeds(security, at)
    looks = [Look(one.scanner, one.target, one.basis, one.result.to_json(), one.complete) for one in scans]
    found = identified([finding for one in scans for finding in one.findings])
    days = security.due_days.model_dump()
    own = {scanner.name for scanner in all_scanners()}
    # A hub or a report may name another target when it fails: of those the name of the scanner is enough.
    scope = [Scope(one.scanner, one.target if one.scanner in own else None) for one in scans]
    seen = (_seen(one, feeds, waivers, days) for one in found)
    ports.ledger.merge(settings.system.name, at, looks, seen, scope)
    _waive_unseen(ports.ledger, settings.system.name, at, waivers)
    results = [_together([one.result for one in scans if one.result.check == name]) for name in _names(scanners, scans)]
    if not scans:
        return (not_judged(),)
    not_seen = {f"{one.target} by {one.scanner}": one.result.verdict.value for one in scans if not one.complete}
    judged = judge(ports.ledger, settings, waivers, at, not_seen, everything=whole)
    return (*results, *judged, *doubts)


def _waive_unseen(ledger: FindingsLedger, system: str, at: datetime, waivers: Sequence[Waiver]) -> None:
    """Let the file of waivers count for what is open and was not seen today, too: its scanner may have failed."""
    answered = []
    for one in ledger.each(system, at, Sort.OPEN):
        if one.last_seen >= at:
            continue
        waiver = waiver_of(one.finding, waivers)
        now = (waiver.told, waiver.until) if waiver else ("", None)
        if now != (one.waiver, one.waived_until):
            answered.append((one.finding.identity, *now))
    ledger.waive(system, answered)


def moment_of_run(run_after: datetime | None, now: datetime) -> datetime:
    """Return the moment that stands in the ledger for a run: its own, so that a retry finds the same things new.

    A run that is cleared hours later looks at another day.
    """
    if run_after is None or not timedelta() <= now - run_after < timedelta(hours=_RETRY_HOURS):
        return now
    return run_after


def _scanned(
    ports: ScanPorts,
    settings: Settings,
    wanted: ScanTarget,
    scanners: Sequence[Scanner],
    root: Path,
    at: datetime,
    progress: Callable[[str], object],
    *,
    whole: bool,
) -> list[Scan]:
    security, fitting = settings.security, [one for one in scanners if wanted.kind in one.scans]
    root.mkdir()
    try:
        target = fetch(
            wanted,
            root,
            Sources(ports.store, ports.hosts),
            timeout_seconds=security.timeout_seconds,
            target_mb=security.target_mb,
        )
        plant(root, fitting)
    except Exception as error:  # noqa: BLE001  the boundary: a target is a stranger's, and the others go on
        why = sentence_of(error, wanted.name, _log)
        return [_not_fetched(one, wanted, why) for one in fitting]
    done: list[Scan] = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scanner") as pool:
        started = [pool.submit(_one, one, target, ports, settings, at, whole=whole) for one in fitting]
        for future in as_completed(started):
            ended = future.result()
            progress(f"{ended.result.verdict:8} {ended.result.check}: {ended.result.summary}")
            done.append(ended)
    return done


def _one(scanner: Scanner, target: Target, ports: ScanPorts, settings: Settings, at: datetime, *, whole: bool) -> Scan:
    security, system = settings.security, settings.system.name
    limits = Limits(security.timeout_seconds, security.report_mb, security.data_days)
    with private_folder() as folder:
        cache = Path(security.cache_folder) if security.cache_folder else Path.home() / ".cache" / "tdev-scanners"
        environment = {name: ports.environment[name] for name in ("PATH", *scanner.keys) if name in ports.environment}
        ground = Ground(folder, cache, limits, environment, anew=whole)
        since = at - timedelta(days=security.data_days)
        before = partial(ports.ledger.last_look, system, scanner.name, target.name, since)
        return scan(scanner, target, ground, at) if whole else scan(scanner, target, ground, at, before)


def _not_fetched(scanner: Scanner, wanted: ScanTarget, why: str) -> Scan:
    coverage = Coverage(skipped={wanted.name: "it could not be fetched"})
    result = CheckResult(f"scan.{scanner.name}", Verdict.UNKNOWN, f"{wanted.name}: {why}", coverage=coverage)
    return Scan(scanner.name, wanted.name, result)


def _names(scanners: Sequence[Scanner], scans: Sequence[Scan]) -> list[str]:
    used = {one.result.check for one in scans}
    return [name for one in (*(one.name for one in scanners), HUB, REPORTS) if (name := f"scan.{one}") in used]


def _together(results: Sequence[CheckResult]) -> CheckResult:
    """Return one result of a scanner over all of its targets."""
    if len(results) == 1:
        return results[0]
    figures: dict[str, float] = {}
    for measured in (one for result in results for one in result.measurements):
        figures[measured.name] = figures.get(measured.name, 0) + (measured.value or 0)
    canaries = [one.coverage.canary_found for one in results if one.coverage.canary_found is not None]
    return CheckResult(
        results[0].check,
        worst(one.verdict for one in results),
        " ".join(one.summary for one in results),
        measurements=tuple(Measurement(figure, value) for figure, value in figures.items()),
        coverage=Coverage(
            seen=tuple(seen for one in results for seen in one.coverage.seen),
            skipped={target: why for one in results for target, why in one.coverage.skipped.items()},
            data_age_seconds=max(one.coverage.data_age_seconds for one in results),
            tool=next((one.coverage.tool for one in results if one.coverage.tool), ""),
            canary_found=all(canaries) if canaries else None,
        ),
        duration_seconds=max(one.duration_seconds for one in results),
        details=tuple(line for one in results for line in one.details),
    )


def _feeds(security: SecuritySettings, at: datetime) -> tuple[Feeds, list[CheckResult]]:
    """Read the feeds; one that is old, broken or away is told, and the order of work falls back on CVSS."""
    kev, epss = (Path(name) if name else None for name in (security.kev_file, security.epss_file))
    if kev is None and epss is None:
        return Feeds(), []
    check = "findings.feeds"
    try:
        feeds = read_feeds(kev, epss)
    except TdevError as error:
        return Feeds(), [
            CheckResult(check, Verdict.UNKNOWN, str(error), coverage=Coverage(skipped={"feeds": "unread"}))
        ]
    ages = {name: (at - made).total_seconds() for name, made in feeds.made.items()}
    old = {name: f"of {feeds.made[name]:%Y-%m-%d}" for name, age in ages.items() if age > security.feed_days * 86_400}
    summary = ", ".join(f"{name} of {made:%Y-%m-%d}" for name, made in feeds.made.items())
    coverage = Coverage(seen=tuple(ages), skipped=old, data_age_seconds=max(ages.values()))
    return feeds, [CheckResult(check, Verdict.OK, f"{summary}.", coverage=coverage, hint="Fetch the feeds anew.")]


def _seen(one: Finding, feeds: Feeds, waivers: Sequence[Waiver], days: Mapping[str, float]) -> Seen:
    waiver = waiver_of(one, waivers)
    return Seen(
        one,
        priority_of(one, feeds),
        due_days_of(one, feeds, days),
        waiver.told if waiver else "",
        waiver.until if waiver else None,
    )

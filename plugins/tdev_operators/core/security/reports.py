"""Reports that other pipelines put into the object store: SARIF or CycloneDX of any tool, taken in like our scans."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.errors import GarbledAnswerError, InputError, TdevError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.cyclonedx import found_in_cyclonedx
from tdev_operators.core.security.sarif import found_in_sarif
from tdev_operators.core.security.scanning import Scan, Target
from tdev_operators.core.security.settings import ScanReport, place_of
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

NAME = "reports"
ABOUT = "Reports that other pipelines put into the object store, as SARIF or CycloneDX: of any tool, on any target."
_MIB = 1024 * 1024
_NOWHERE = Path("/")


def read_reports(store: BackupStore, reports: Sequence[ScanReport], report_mb: int, at: datetime) -> list[Scan]:
    """Read every report; one that is away, old, too large or broken is an UNKNOWN result, and the others go on."""
    return [_read(store, report, report_mb, at) for report in reports]


def _read(store: BackupStore, report: ScanReport, report_mb: int, at: datetime) -> Scan:
    scanner = f"report {report.name}"
    try:
        bucket, key = place_of(report.place)
        info = store.find(bucket, key)
        if info is None:
            raise InputError(f"{report.place} is not there; let its pipeline write it.")
        body = store.read_whole(bucket, key, max_bytes=report_mb * _MIB)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            raise GarbledAnswerError(f"{report.place} is no JSON; it may be cut off.") from None
        # It has no folder of ours: paths are taken as the tool wrote them.
        parse = found_in_sarif if report.sarif else found_in_cyclonedx
        found = parse(data, Target(report.target, "source", _NOWHERE), scanner)
    except TdevError as error:
        return Scan(scanner, report.target, _result(report, Verdict.UNKNOWN, str(error), {report.name: "not read"}))
    skipped = {one_line(name): one_line(why) for name, why in found.skipped.items()}
    age = at - info.modified
    if age > timedelta(days=report.days):
        skipped[report.name] = f"it is of {info.modified:%Y-%m-%d}, older than its days ({report.days})"
    told = f"{report.name}: {counted(len(found.findings), 'finding')} in {report.target}, of {info.modified:%Y-%m-%d}."
    result = _result(report, Verdict.OK, told, skipped, age.total_seconds(), tuple(found.remarks))
    return Scan(scanner, report.target, result, tuple(found.findings))


def _result(
    report: ScanReport,
    verdict: Verdict,
    summary: str,
    skipped: dict[str, str],
    age_seconds: float = 0.0,
    details: tuple[str, ...] = (),
) -> CheckResult:
    seen = () if verdict is Verdict.UNKNOWN else (report.name,)
    coverage = Coverage(seen=seen, skipped=skipped, data_age_seconds=age_seconds, tool=report.name)
    return CheckResult(f"scan.{NAME}", verdict, summary, coverage=coverage, details=details)

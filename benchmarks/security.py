"""The daily scan against the guide's commands one after the other, and a hundred thousand findings into the ledger.

The source tree is this project's own. Of the guide's commands those are run that need no account and no network: trivy
on the image, bandit on the source.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

from benchmarks.measuring import Servers, measure_apart
from benchmarks.table import Row
from sandbox.object_store import REGION, ObjectStore
from sandbox.postgres import Cluster
from sandbox.processes import REPOSITORY, Supervisor
from sandbox.releases import image_of, source_of
from sandbox.vulnerability_database import write_database
from tdev_operators.core.security.findings import Finding, Kind, Severity, identified
from tdev_operators.core.security.ledger import Look, Seen
from tdev_operators.core.security.run import ScanPorts, scan_all
from tdev_operators.core.security.settings import ScanTarget
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.findings_ledger import PostgresFindings
from tdev_operators.hooks.ledger_schema import migrate

_FINDINGS = 100_000
_RUNS = 3
_BUCKET = "tdev-bench-security"
_PACKAGES = 300
_MIB = 1024 * 1024
_OFF = frozenset({"scan.pip_audit", "scan.safety", "scan.dependency_check", "scan.security_hub"})
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Ground:
    ports: ScanPorts
    settings: Settings
    facts: ConnectionFacts
    folder: Path
    sources: dict[str, str]
    database_pid: int


def rows(*, scale: float | None = None, runs: int | None = None) -> Iterator[Row]:
    """Yield the table's rows; `scale` (default: `TDEV_BENCH_SCALE`, or 1) is a share of findings and files."""
    scale = float(os.environ.get("TDEV_BENCH_SCALE", "1")) if scale is None else scale
    runs = int(os.environ.get("TDEV_BENCH_RUNS", _RUNS)) if runs is None else runs
    with _ground(scale) as on:
        yield from _scan(on, runs)
        yield from _merge(on, int(_FINDINGS * scale))


def _scan(on: _Ground, runs: int) -> Iterator[Row]:
    on.ports.store.put(_BUCKET, "source.tar.gz", source_of(on.sources))
    first_of_all = _timed(partial(_ours, on, datetime.now(UTC)))
    guide, changed, unchanged = [], [], []
    for number in range(runs):
        guide.append(_timed(lambda: _guide(on.folder)))
        at = datetime.now(UTC)
        source = source_of({**on.sources, "src/run.py": f"RUN = {number}\n"})
        on.ports.store.put(_BUCKET, "source.tar.gz", source)
        changed.append(_timed(partial(_ours, on, at)))
        unchanged.append(_timed(partial(_ours, on, at + timedelta(seconds=1))))
    what, against = "the daily scan: an image and a source tree", "the guide's trivy and bandit"
    yield Row(f"{what}, nothing known yet", first_of_all, against, median(guide), 1)
    yield Row(f"{what}, one file changed since yesterday", median(changed), against, median(guide), runs, at_most=0.5)
    yield Row(f"{what}, nothing changed", median(unchanged), against, median(guide), runs, at_most=0.5)


def _merge(on: _Ground, count: int) -> Iterator[Row]:
    servers = Servers(on.database_pid, None)
    for day, word in ((0, "new"), (1, "seen again")):
        measured = measure_apart(partial(_merge_apart, on.facts, count, day), servers, on.folder)
        name = f"{count:,} findings into the ledger, {word}"
        yield Row(name, measured.seconds, "the limit", 20.0, 1, at_most=1.0, cpu=measured.cpu)
        peak = (measured.peak_memory_bytes or 0) / _MIB
        yield Row("  peak memory of the process", peak, "the limit", 300.0, 1, at_most=1.0, unit="MiB")


def _merge_apart(facts: ConnectionFacts, count: int, day: int) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + day * _DAY
    seen = (Seen(_hole(number), number, 30.0) for number in range(count))
    PostgresFindings(facts).merge("bench", at, [Look("trivy_image", "image")], seen)


def _hole(number: int) -> Finding:
    made = Finding(
        Kind.VULNERABILITY,
        rule=f"CVE-2026-{number:06}",
        title="an invented hole in an invented package",
        severity=Severity.HIGH,
        target="image",
        scanner="trivy_image",
        package=f"pkg:pypi/package-{number % 5_000}",
        version="1.0.0",
        fixed_in="1.0.1",
        cvss=7.5,
    )
    return identified([made])[0]


def _ours(on: _Ground, at: datetime) -> None:
    results = scan_all(on.ports, on.settings, at=at, switched_off=_OFF)
    scans = {one.check: one for one in results if one.check.startswith("scan.")}
    assert set(scans) == {"scan.bandit", "scan.trivy_image", "scan.trivy_source"}, results
    assert {one.verdict for one in scans.values()} == {Verdict.OK}, results


def _guide(folder: Path) -> None:
    programs = Path(sys.executable).parent
    trivy = [
        str(programs / "trivy"),
        "image",
        "--input",
        str(folder / "image.tar"),
        "--cache-dir",
        str(folder / "cache"),
    ]
    offline = ["--offline-scan", "--skip-db-update", "--skip-version-check", "--skip-check-update", "--quiet"]
    subprocess.run([*trivy, *offline], check=True, stdout=subprocess.DEVNULL)
    bandit = [str(programs / "bandit"), "-r", str(folder / "src"), "-q"]
    assert subprocess.run(bandit, check=False, stdout=subprocess.DEVNULL).returncode in (0, 1)


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _ground(scale: float) -> Iterator[_Ground]:
    supervisor = Supervisor()
    try:
        cluster = Cluster(supervisor, "bench-security").start()
        cluster.create_database("ledger")
        info = cluster.conninfo("ledger")
        facts = ConnectionFacts(
            "tdev_ledger", "postgres", info["host"], info["port"], info["user"], info["password"], "ledger"
        )
        migrate(facts)
        database_pid = int((cluster.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        s3 = ObjectStore(supervisor, "bench-store").start()
        s3.client().create_bucket(Bucket=_BUCKET)
        extra = {"region_name": REGION, "endpoint_url": s3.endpoint_url}
        aws = ConnectionFacts("tdev_aws", "aws", login=s3.access_key, password=s3.secret_key, extra=extra)
        with tempfile.TemporaryDirectory() as name, S3BackupStore(aws) as store:
            folder = Path(name)
            sources = _sources(scale)
            _write_targets(folder, store, sources)
            ports = ScanPorts(store, PostgresFindings(facts), hub=cast("Any", None))
            yield _Ground(ports, _settings(folder), facts, folder, sources, database_pid)
    finally:
        supervisor.close()


def _write_targets(folder: Path, store: S3BackupStore, sources: dict[str, str]) -> None:
    write_database(folder / "cache")
    system = {
        "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
        "etc/debian_version": b"12.5\n",
        "var/lib/dpkg/status": (
            b"Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.99-1\n\n"
        ),
    }
    for number in range(_PACKAGES):
        where = f"usr/lib/python3/dist-packages/package_{number}-1.0.dist-info/METADATA"
        system[where] = f"Metadata-Version: 2.1\nName: package-{number}\nVersion: 1.0\n".encode()
    image = image_of(system, "bench:1")
    (folder / "image.tar").write_bytes(image)
    store.put(_BUCKET, "image.tar", image)
    for name, text in sources.items():
        to = folder / "src" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")


def _sources(scale: float) -> dict[str, str]:
    files = sorted((REPOSITORY / "plugins").rglob("*.py"))
    wanted = files[: max(1, round(len(files) * min(scale, 1.0)))]
    return {str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8") for path in wanted}


def _settings(folder: Path) -> Settings:
    shipped = load_settings(include_dir() / "tdev.toml")
    targets = (
        ScanTarget(name="image", kind="image", archive=f"s3://{_BUCKET}/image.tar"),
        ScanTarget(name="source", kind="source", archive=f"s3://{_BUCKET}/source.tar.gz"),
    )
    changes = {"targets": targets, "cache_folder": str(folder / "cache"), "waivers_file": ""}
    return shipped.model_copy(update={"security": shipped.security.model_copy(update=changes)})

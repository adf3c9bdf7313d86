"""A whole scan: targets from the store, real scanners side by side, one merge, one judgement; and the days after."""

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from sandbox.vulnerability_database import write_database
from tdev_operators.core.errors import SettingsError
from tdev_operators.core.security.judging import OPEN, WAIVERS
from tdev_operators.core.security.run import ScanPorts, scan_all
from tdev_operators.core.security.settings import ScanReport, ScanTarget
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.findings_ledger import PostgresFindings
from tdev_operators.hooks.ledger_schema import migrate
from tests.backup_sets import open_store
from tests.core.security.conftest import SOURCE
from tests.core.security.test_fetching import tar
from tests.core.security.test_sarif import result, sarif
from tests.records import facts_of

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
OFF = frozenset({"scan.pip_audit", "scan.safety", "scan.dependency_check", "scan.security_hub"})
MENDED = {**SOURCE, "requirements.txt": "requests==2.20.0\n", "conf.ini": "token = none\n"}


class Days:
    """A source tree in a bucket that is scanned day after day."""

    def __init__(self, store, bucket, facts, cache, home, monkeypatch):
        self.store, self.bucket, self.home = store, bucket, home
        self.ports = ScanPorts(store, PostgresFindings(facts), hub=None)
        shipped = load_settings(include_dir() / "tdev.toml")
        target = ScanTarget(name="shop", kind="source", archive=f"s3://{bucket}/source.tar.gz")
        security = shipped.security.model_copy(update={"targets": (target,), "cache_folder": str(cache)})
        self.settings = shipped.model_copy(update={"security": security})
        monkeypatch.setenv("TDEV_SETTINGS", str(home / "tdev.toml"))

    def put(self, files):
        self.store.put(self.bucket, "source.tar.gz", tar(*((name, text.encode()) for name, text in files.items())))

    def waive(self, text):
        (self.home / "waivers.toml").write_text(text)

    def scan(self, at, **more):
        results = scan_all(self.ports, self.settings, at=at, switched_off=OFF, **more)
        return {one.check: one for one in results}


@pytest.fixture
def days(s3_server, bucket, database, database_of_trivy, tmp_path, monkeypatch):
    migrate(facts_of(database))
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        made = Days(store, bucket, facts_of(database), database_of_trivy, tmp_path, monkeypatch)
        made.put(SOURCE)
        yield made


def test_the_first_day_the_same_day_again_and_the_day_after_the_mending(days):
    told = []
    first = days.scan(NOW, progress=told.append)
    assert set(first) == {"scan.bandit", "scan.trivy_source", OPEN, WAIVERS}
    assert {first[name].verdict for name in ("scan.bandit", "scan.trivy_source", WAIVERS)} == {Verdict.OK}, first
    assert first[OPEN].verdict is Verdict.WARNING
    assert first[OPEN].summary == "Open: 1 critical, 4 high, 1 low. Of these or since: 6 new."
    assert any("new: HIGH CVE-2018-18074 pkg:pypi/requests@2.19.1 in shop" in line for line in first[OPEN].details)
    assert len(told) == 2
    again = days.scan(NOW)
    assert again[OPEN].summary == first[OPEN].summary, "a retry counts nothing twice"
    assert "Not scanned again: target, program and data are those of" in again["scan.bandit"].summary
    assert again["scan.trivy_source"].coverage.canary_found
    days.put(MENDED)
    after = days.scan(NOW + DAY)
    assert after[OPEN].verdict is Verdict.OK
    assert after[OPEN].summary == "Open: 3 high, 1 low. Of these or since: 2 fixed."
    days.put(SOURCE)
    back = days.scan(NOW + 2 * DAY)
    assert back[OPEN].summary.endswith("2 back.")
    assert back[OPEN].verdict is Verdict.WARNING


def test_what_is_late_is_red_until_somebody_answers_for_it(days):
    days.put({"requirements.txt": SOURCE["requirements.txt"], "ok.py": "x = 1\n"})
    days.scan(NOW)
    security = days.settings.security.model_copy(update={"data_days": 400.0})
    days.settings = days.settings.model_copy(update={"security": security})
    late = days.scan(NOW + 30 * DAY)
    assert late[OPEN].verdict is Verdict.CRITICAL
    assert "1 late" in late[OPEN].summary
    until = (NOW + 45 * DAY).date()
    days.waive(
        '[[waivers]]\nrule = "CVE-2018-18074"\npackage = "pkg:pypi/requests"\nowner = "Security"\n'
        f'reason = "no credentials are sent"\nexpires = {until}\n'
    )
    waived = days.scan(NOW + 30 * DAY + timedelta(minutes=1))
    assert waived[OPEN].verdict is Verdict.OK
    assert waived[WAIVERS].verdict is Verdict.OK
    ending = days.scan(NOW + 40 * DAY)
    assert ending[WAIVERS].verdict is Verdict.WARNING
    assert "ends soon: CVE-2018-18074" in ending[WAIVERS].details[0]
    ended = days.scan(NOW + 47 * DAY)
    assert ended[OPEN].verdict is Verdict.CRITICAL
    assert "ended: CVE-2018-18074" in ended[WAIVERS].details[0]
    days.waive(f'[[waivers]]\nrule = "x"\npackage = "*"\nowner = "a"\nexpires = {date(2030, 1, 1)}\n')
    with pytest.raises(SettingsError, match="reason: Field required"):
        days.scan(NOW + 48 * DAY)


def test_what_did_not_change_is_not_scanned_again_and_is_judged_all_the_same(days, database_of_trivy):
    days.put({"requirements.txt": SOURCE["requirements.txt"], "ok.py": "x = 1\n"})
    days.scan(NOW)
    days.waive(
        '[[waivers]]\nrule = "CVE-2018-18074"\npackage = "*"\nowner = "a"\nreason = "b"\n'
        f"expires = {(NOW + 300 * DAY).date()}\n"
    )
    same = days.scan(NOW + DAY)
    assert "Not scanned again" in same["scan.trivy_source"].summary
    assert {one.name: one.value for one in same[OPEN].measurements}["waived"] == 1, "a waiver counts at once"
    write_database(database_of_trivy)
    try:
        days.put({"requirements.txt": SOURCE["requirements.txt"], "ok.py": "x = 1\n", "more.py": ""})
        other = days.scan(NOW + 2 * DAY)
        assert "Not scanned again" not in str(other), "another revision"
    finally:
        write_database(database_of_trivy, made=NOW)
    assert "Not scanned again" not in days.scan(NOW + 2 * DAY + timedelta(minutes=1))["scan.trivy_source"].summary
    assert "Not scanned again" in days.scan(NOW + 2 * DAY + timedelta(minutes=2))["scan.trivy_source"].summary


def test_a_scanner_that_fails_closes_nothing_and_the_others_go_on(days):
    days.scan(NOW)
    days.put(MENDED)
    days.ports = replace(days.ports, environment={"PATH": "/nowhere"})
    failed = days.scan(NOW + DAY)
    assert {failed[name].verdict for name in ("scan.bandit", "scan.trivy_source")} == {Verdict.UNKNOWN}
    assert failed[OPEN].summary.startswith("Open: 1 critical, 4 high, 1 low.")
    assert failed[OPEN].verdict is Verdict.UNKNOWN, "what is open is not known when nobody has looked"


@pytest.mark.faults
def test_another_pipelines_report_is_taken_in_while_it_is_young(days):
    report = ScanReport(name="semgrep", target="shop", sarif=f"s3://{days.bucket}/semgrep.sarif", days=2)
    security = days.settings.security.model_copy(
        update={"reports": (report,), "targets": days.settings.security.targets}
    )
    days.settings = days.settings.model_copy(update={"security": security})
    days.put({"requirements.txt": "requests==2.20.0\n", "ok.py": "x = 1\n"})
    away = days.scan(NOW)["scan.reports"]
    assert away.verdict is Verdict.UNKNOWN
    assert "is not there" in away.summary
    days.store.put(days.bucket, "semgrep.sarif", json.dumps(sarif(result(level="error"))).encode())
    at = datetime.now(UTC) + timedelta(minutes=1)
    there = days.scan(at)
    assert there["scan.reports"].verdict is Verdict.OK, there["scan.reports"]
    assert "1 high" in there[OPEN].summary
    assert any("by report semgrep" in line for line in there[OPEN].details)
    old = days.scan(at + 3 * DAY)
    assert old["scan.reports"].verdict is Verdict.UNKNOWN
    assert "older than its days" in str(old["scan.reports"].coverage.skipped)
    assert "1 high" in old[OPEN].summary, "an old report closes nothing"
    days.store.put(days.bucket, "semgrep.sarif", b'{"version": "2.1.0", "runs": [')
    broken = days.scan(at + timedelta(minutes=1))["scan.reports"]
    assert broken.verdict is Verdict.UNKNOWN
    assert "is no JSON" in broken.summary


def test_a_target_that_cannot_be_fetched_is_unknown(days):
    days.scan(NOW)
    days.store.delete(days.bucket, ["source.tar.gz"])
    gone = days.scan(NOW + DAY)
    assert gone["scan.bandit"].verdict is Verdict.UNKNOWN
    assert gone["scan.bandit"].coverage.skipped == {"shop": "it could not be fetched"}
    assert "1 critical" in gone[OPEN].summary


def test_without_targets_nothing_is_green(days):
    security = days.settings.security.model_copy(update={"targets": ()})
    days.settings = days.settings.model_copy(update={"security": security})
    [result] = days.scan(NOW).values()
    assert result.verdict is Verdict.UNKNOWN


@pytest.mark.faults
def test_old_feeds_are_told_and_used(days):
    (days.home / "kev.json").write_text(
        '{"dateReleased": "2020-01-01T00:00:00Z", "vulnerabilities": [{"cveID": "CVE-2018-18074"}]}'
    )
    security = days.settings.security.model_copy(update={"kev_file": str(days.home / "kev.json")})
    days.settings = days.settings.model_copy(update={"security": security})
    results = days.scan(NOW)
    assert results["findings.feeds"].verdict is Verdict.UNKNOWN
    assert results[OPEN].details[0].startswith("new: HIGH CVE-2018-18074"), "known to be exploited comes first"
    assert f"due {NOW + 7 * DAY:%Y-%m-%d}" in results[OPEN].details[0]
    security = security.model_copy(update={"kev_file": str(days.home / "none.json")})
    days.settings = days.settings.model_copy(update={"security": security})
    assert days.scan(NOW + DAY)["findings.feeds"].verdict is Verdict.UNKNOWN


def test_a_waiver_counts_for_what_was_not_seen_today_and_a_target_that_is_gone_for_nothing(days, tmp_path, monkeypatch):
    days.scan(NOW)
    program = tmp_path / "bin"
    program.mkdir()
    (program / "trivy").write_text("#!/bin/sh\nexit 1\n")
    (program / "trivy").chmod(0o755)
    days.ports.environment["PATH"] = f"{program}:{os.environ['PATH']}"
    late = days.scan(NOW + 40 * DAY)
    assert late[OPEN].verdict is Verdict.CRITICAL
    days.waive(
        f'[[waivers]]\nrule = "CVE-2018-18074"\ntarget = "shop"\nowner = "lead"\nreason = "r"\n'
        f"expires = {(NOW + 90 * DAY).date()}\n"
    )
    waived = {one.name: one.value for one in days.scan(NOW + 41 * DAY)[OPEN].measurements}
    assert waived["waived"] == 1
    renamed = days.settings.security.targets[0].model_copy(update={"name": "market"})
    security = days.settings.security.model_copy(update={"targets": (renamed,)})
    days.settings = days.settings.model_copy(update={"security": security})
    after = days.scan(NOW + 43 * DAY)
    assert "late" not in after[OPEN].summary

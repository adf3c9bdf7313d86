"""The audit as a whole: results, record, page; the chain notices every change; a retry says nothing twice."""

import json

import pytest

from tdev_operators.core.compliance.audit import profile_path
from tdev_operators.core.compliance.profile import read_profile
from tdev_operators.core.compliance.record import ComplianceChain
from tdev_operators.core.compliance.rules import all_rules
from tdev_operators.core.errors import ProofFailedError, SettingsError
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tests.core.compliance.conftest import DAY
from tests.records import HOSTILE, result

TWO = """
name = "Two"
[[controls]]
id = "proven"
title = "A back-up was proven"
rule = "results"
checks = ["backup.proven"]
days = 2
maps = { "SOC 2" = ["A1.2"] }
[[controls]]
id = "trail"
title = "The trail is whole"
rule = "trail_unbroken"
days = 31
"""


@pytest.fixture
def two(past, tmp_path, monkeypatch):
    past.profile(tmp_path, monkeypatch, TWO)
    past.ran("backup_verification", result("backup.proven"))
    return past


def chain_of(past):
    return ComplianceChain(past.store, past.settings.buckets.backups, "t-developer")


def test_all_pass_and_the_record_is_sealed_and_can_be_printed(two):
    found = two.audit()
    proven, _, record = found.results
    assert {one.verdict for one in found.results} == {Verdict.OK}
    assert proven.check == "compliance.proven"
    assert proven.summary.startswith("A back-up was proven: PASS. backup.proven on 2026-12-01")
    assert proven.details[0] == "SOC 2: A1.2"
    assert record.summary.startswith(
        "2 PASS, 0 FAIL, 0 UNKNOWN. Record 1 is t-developer/compliance/records/000001.json"
    )
    [sealed] = chain_of(two).read(two.ledger.sealed_digests("compliance_evidence"))
    assert sealed.evidence.outcome == "PASS"
    page = two.store.read_whole(two.settings.buckets.backups, found.report, max_bytes=10**6).decode()
    assert "A back-up was proven" in page
    assert sealed.sha256 in page
    assert "@media print" in page


def test_unknown_is_not_a_pass_and_a_failure_is_red(two):
    two.at += 5 * DAY
    assert [one.verdict for one in two.audit().results] == [Verdict.UNKNOWN, Verdict.OK, Verdict.OK]
    [sealed] = chain_of(two).read()
    assert sealed.evidence.outcome == "UNKNOWN"
    two.ran("backup_verification", result("backup.proven", Verdict.CRITICAL), at=two.at)
    found = two.audit("another")
    assert found.results[0].verdict is Verdict.CRITICAL
    assert "compliance/reports/000002.html" in found.results[0].hint
    assert chain_of(two).read()[-1].evidence.outcome == "FAIL"


def test_a_retry_says_nothing_twice_also_when_it_was_killed_before_the_journal(two):
    two.audit()
    two.at += DAY / 24
    again = two.audit()
    assert len(chain_of(two).read()) == 1
    assert len(two.ledger.sealed_digests("compliance_evidence")) == 1
    assert again.results[-1].verdict is Verdict.OK

    def killed(*_):
        raise KeyboardInterrupt

    from tdev_operators.core.compliance.audit import audit

    with pytest.raises(KeyboardInterrupt):
        audit(two.ground, "another", killed)
    assert len(chain_of(two).read()) == 2
    two.audit("another")
    assert len(chain_of(two).read(two.ledger.sealed_digests("compliance_evidence"))) == 2
    assert len(two.ledger.sealed_digests("compliance_evidence")) == 2


def _changed(past, key):
    body = json.loads(past.store.read_whole(past.settings.buckets.backups, key, max_bytes=10**6))
    past.store.put(past.settings.buckets.backups, key, json.dumps({**body, "outcome": "PASS"}).encode())


def _removed(past, key):
    past.store.delete(past.settings.buckets.backups, [key])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_record_that_somebody_changes_is_noticed_by_the_next_audit(two, number):
    two.ran("backup_verification", result("backup.proven", Verdict.CRITICAL), at=two.at)
    for run in range(3):
        two.audit(f"run-{run}")
    _changed(two, chain_of(two).key_of(number))
    if number < 3:  # whatever follows is bound to it, also without the ledger's digests
        with pytest.raises(ProofFailedError, match="does not follow the one before it"):
            chain_of(two).read()
    found = {one.check: one for one in two.audit("next").results}
    assert found["compliance.trail"].verdict is Verdict.CRITICAL
    assert "is not what it was" in found["compliance.trail"].summary or "does not follow" in (
        found["compliance.trail"].summary
    )


def test_a_control_that_is_not_applicable_is_listed_with_who_says_so(two):
    off = OutOfScopeSettings(check="compliance.proven", reason="no database", owner="Security")
    two.settings = two.settings.model_copy(update={"out_of_scope": (off,)})
    found = two.audit()
    assert [one.check for one in found.out_of_scope] == ["compliance.proven"]
    assert [one.check for one in found.results] == ["compliance.trail", "compliance.record"]
    [sealed] = chain_of(two).read()
    assert sealed.evidence.not_applicable == (
        {"control": "compliance.proven", "reason": "no database", "owner": "Security"},
    )


def test_what_strangers_write_is_inert_on_the_page(two):
    two.ran("backup_verification", result("backup.proven", Verdict.CRITICAL, "".join(HOSTILE[:9])), at=two.at)
    found = two.audit()
    page = two.store.read_whole(two.settings.buckets.backups, found.report, max_bytes=10**6).decode()
    assert "<script>" not in page
    assert "onerror=alert(1)>" not in page.replace("&gt;", "")
    assert "\x1b" not in page


def test_the_shipped_profile_asks_for_what_there_is():
    from tdev_operators.core.backup import check_names as backup
    from tdev_operators.core.certificates import check_names as certificates
    from tdev_operators.core.database import check_names as database
    from tdev_operators.core.health.registry import all_checks
    from tdev_operators.core.security import check_names as security

    profile = read_profile(include_dir() / "compliance.toml")
    assert len(profile.controls) == 13
    health = {check.name for check in all_checks()}
    for one in profile.controls:
        assert one.rule in all_rules()
        assert one.maps
        for check in one.checks:
            named = (backup.is_named, certificates.is_named, database.is_named, security.is_named)
            assert check in health or check == "drill.due" or any(is_named(check) for is_named in named), check


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('name = "x"\ncontrols = []', "controls"),
        (TWO.replace("trail_unbroken", "no_such_rule"), "has the rule 'no_such_rule'; write one of access_reviews"),
        (TWO.replace('id = "trail"', 'id = "proven"'), "two entries have the id 'proven'"),
        (TWO.replace("days = 31", "dys = 31"), "controls.2.d"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_profile_that_is_wrong_is_refused_with_its_place(past, tmp_path, monkeypatch, text, why):
    past.profile(tmp_path, monkeypatch, text)
    with pytest.raises(SettingsError, match=why):
        past.audit()


def test_a_profile_that_is_not_there_is_refused(past, tmp_path, monkeypatch):
    past.profile(tmp_path, monkeypatch, TWO)
    profile_path(past.settings).unlink()
    with pytest.raises(SettingsError, match="there is no such file"):
        past.audit()


def test_one_control_that_cannot_be_looked_at_hides_no_other(two, monkeypatch):
    from dataclasses import replace

    from tdev_operators.core.compliance import audit as module

    def broken(*_):
        raise ZeroDivisionError

    rules = {**all_rules(), "results": replace(all_rules()["results"], evaluate=broken)}
    monkeypatch.setattr(module, "all_rules", lambda: rules)
    first, second, _ = two.audit().results
    assert (first.verdict, second.verdict) == (Verdict.UNKNOWN, Verdict.OK)

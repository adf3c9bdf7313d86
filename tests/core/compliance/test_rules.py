"""Each rule: what passes, what fails, and what nobody knows. Unknown is not a pass."""

from datetime import timedelta

import pytest

from tdev_operators.core.compliance.rules import all_rules
from tdev_operators.core.ledger import Sample
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.ledger_views import CalendarItem, keep_calendar
from tests.core.compliance.conftest import AT, DAY, control
from tests.records import result


def found(past, what):
    return all_rules()[what.rule].evaluate(what, past.ground)


def test_every_rule_says_what_passes():
    assert set(all_rules()) == {"access_reviews", "calendar_kept", "results", "trail_unbroken"}
    assert all(rule.about.endswith(".") for rule in all_rules().values())


@pytest.mark.parametrize(
    ("verdict", "at_worst", "outcome"),
    [
        (Verdict.OK, "OK", "PASS"),
        (Verdict.WARNING, "WARNING", "PASS"),
        (Verdict.WARNING, "OK", "FAIL"),
        (Verdict.CRITICAL, "WARNING", "FAIL"),
        (Verdict.UNKNOWN, "WARNING", "UNKNOWN"),
    ],
)
def test_a_result_passes_by_its_verdict(past, verdict, at_worst, outcome):
    past.ran("backup_verification", result("backup.proven", verdict))
    evaluation = found(past, control("results", "backup.proven", at_worst=at_worst))
    assert evaluation.outcome == outcome
    [proof] = [*evaluation.passed, *evaluation.failed, *evaluation.unknown]
    assert proof.sentence == f"backup.proven on 2026-12-01 09:00 UTC: {verdict}. backup.proven is {verdict}."


def test_only_the_newest_run_counts_and_one_that_is_too_old_proves_nothing(past):
    past.ran("backup_verification", result("backup.proven", Verdict.CRITICAL), at=AT - 3 * DAY)
    past.ran("backup_verification", result("backup.proven"), at=AT - DAY)
    assert found(past, control("results", "backup.proven")).outcome == "PASS"
    past.at = AT + 3 * DAY
    assert found(past, control("results", "backup.proven")).outcome == "UNKNOWN"


def test_an_area_is_all_of_the_newest_run_and_what_is_gone_from_it_no_longer_counts(past):
    past.ran("certificate_management", result("certificate.old:443", Verdict.CRITICAL), at=AT - 2 * DAY)
    past.ran("certificate_management", result("certificate.a:443"), result("certificate.b:443", Verdict.WARNING))
    evaluation = found(past, control("results", "certificate.*"))
    assert (evaluation.outcome, len(evaluation.passed)) == ("PASS", 2)
    assert found(past, control("results", "certificate.*", at_worst="OK")).outcome == "FAIL"


def test_what_was_never_looked_at_or_is_switched_off_is_no_pass(past):
    assert found(past, control("results", "backup.proven")).outcome == "UNKNOWN"
    past.ran("security_audit", result("audit.buckets"))
    off = OutOfScopeSettings(check="audit.buckets", reason="a small store", owner="Security")
    past.settings = past.settings.model_copy(update={"out_of_scope": (off,)})
    evaluation = found(past, control("results", "audit.buckets"))
    assert evaluation.outcome == "UNKNOWN"
    assert evaluation.unknown[0].sentence == "audit.buckets is switched off by Security: a small store."


@pytest.fixture
def kept(past):
    """A calendar of one item at nine, set up ten days ago, that ran each day."""
    keep_calendar(past.facts, [CalendarItem("daily", "health_check", "0 9 * * *", 15, "critical", "DevOps", AT)])
    with past.records._database.transaction() as tx:
        tx._connection.execute("UPDATE maintenance.calendar SET since = %s", (AT - 10 * DAY - timedelta(hours=1),))
    for ago in range(1, 11):
        past.ran("health_check", result("api.reachable"), at=AT - ago * DAY + timedelta(minutes=3))
    return past


def test_a_calendar_that_is_kept(kept):
    evaluation = found(kept, control("calendar_kept", days=31))
    assert evaluation.outcome == "PASS"
    assert evaluation.passed[0].sentence == "daily: health_check kept 10 slots."


def test_a_slot_that_was_missed_and_one_that_never_ended_fail(kept):
    kept.at = AT + 3 * DAY
    kept.ran("health_check", result("api.reachable"), at=AT + timedelta(minutes=3))
    from tdev_operators.core.items import ItemRef

    kept.ledger.open_item(ItemRef("daily", "tdev_daily", "died", "health_check"), AT + DAY + timedelta(minutes=1))
    evaluation = found(kept, control("calendar_kept", days=31))
    assert evaluation.outcome == "FAIL"
    assert evaluation.failed[0].sentence == (
        "daily: health_check missed 2 slots of 13: 2026-12-03 09:00 UTC, 2026-12-04 09:00 UTC."
    )


def test_reviews_are_young_or_they_fail(past):
    what = control("access_reviews", "audit.database_roles", days=92)
    assert found(past, what).failed[0].sentence == "Nobody has ever accepted what audit.database_roles sees."
    for ago, outcome in ((100, "FAIL"), (90, "PASS")):
        at = AT - ago * DAY
        facts = {"facts": ["role a"], "by": "lead", "accepted_at": at.isoformat()}
        past.ledger.keep_sample("t-developer", "audit.database_roles accepted", Sample(at, facts))
        assert found(past, what).outcome == outcome


def test_a_trail_is_whole_until_a_guard_or_an_evidence_is_gone(past):
    what = control("trail_unbroken")
    evaluation = found(past, what)
    assert evaluation.outcome == "PASS", evaluation.failed
    assert [one.sentence for one in evaluation.passed[:2]] == [
        "maintenance.check_results refuses changes.",
        "maintenance.item_attempts refuses changes.",
    ]
    ref = past.ran("dr_drill", result("drill.due"))
    past.ledger.journal(ref, "drill_evidence", {"number": 1, "sha256": "abc"})
    assert found(past, what).failed[0].sentence.startswith("The evidence 1 was removed: the ledger knows it as abc")


@pytest.mark.parametrize(
    "harm",
    [
        "ALTER TABLE maintenance.journal DISABLE TRIGGER append_only",
        "DROP TRIGGER ends_once ON maintenance.item_attempts",
    ],
)
def test_a_guard_that_is_gone_is_seen(past, cluster, harm):
    with cluster.connect(past.facts.schema) as sql:
        sql.execute(harm)
    assert found(past, control("trail_unbroken")).outcome == "FAIL"

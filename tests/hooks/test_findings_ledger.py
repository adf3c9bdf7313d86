"""The findings ledger in a real PostgreSQL: first seen, fixed, back, late, waived; falsely closed by nothing."""

import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.core.reporting.escaping import storable
from tdev_operators.core.security.findings import Finding, Kind, Severity, identified
from tdev_operators.core.security.ledger import Look, Scope, Seen, Sort
from tdev_operators.hooks.findings_ledger import PostgresFindings
from tdev_operators.hooks.ledger_schema import migrate
from tests.records import HOSTILE, NOON, facts_of

DAY = timedelta(days=1)
TRIVY, AUDIT = Look("trivy_source", "shop"), Look("pip_audit", "shop")


@pytest.fixture
def ledger(database):
    facts = facts_of(database)
    migrate(facts)
    return PostgresFindings(facts)


def hole(number=1, scanner="trivy_source", severity=Severity.HIGH, target="shop"):
    made = Finding(
        Kind.VULNERABILITY, f"CVE-2026-{number:06}", "a hole", severity, target, scanner, package="pkg:pypi/shop"
    )
    return identified([made])[0]


def seen(*findings, due_days=30.0, **more):
    return [Seen(one, number, due_days, **more) for number, one in enumerate(findings)]


def sorts(ledger, at, system="shop"):
    counted = ledger.counts(system, at)
    return {sort.value: total for sort in Sort if (total := sum(by.get(sort, 0) for by in counted.values()))}


def test_a_finding_from_first_to_fixed_and_back(ledger):
    ledger.merge("shop", NOON, [TRIVY], seen(hole()))
    assert sorts(ledger, NOON) == {"open": 1, "new": 1}
    ledger.merge("shop", NOON + DAY, [TRIVY], seen(hole()))
    assert sorts(ledger, NOON + DAY) == {"open": 1}
    ledger.merge("shop", NOON + 2 * DAY, [TRIVY], [])
    assert sorts(ledger, NOON + 2 * DAY) == {"fixed": 1}
    [fixed] = ledger.findings("shop", NOON + 2 * DAY, Sort.FIXED, most=5)
    assert (fixed.first_seen, fixed.last_seen, fixed.fixed_at) == (NOON, NOON + DAY, NOON + 2 * DAY)
    ledger.merge("shop", NOON + 3 * DAY, [TRIVY], seen(hole()))
    assert sorts(ledger, NOON + 3 * DAY) == {"open": 1, "back": 1}
    [back] = ledger.findings("shop", NOON + 3 * DAY, Sort.BACK, most=5)
    assert (back.first_seen, back.opened_at, back.reopened) == (NOON, NOON + 3 * DAY, 1)
    assert back.due_at == NOON + 33 * DAY, "its time runs anew"
    assert back.finding == hole()


def test_who_did_not_look_closes_nothing(ledger):
    ledger.merge("shop", NOON, [TRIVY, AUDIT], seen(hole(), hole(2, "pip_audit"), hole(3, "pip_audit, trivy_source")))
    ledger.merge("shop", NOON + DAY, [], [])
    assert sorts(ledger, NOON + DAY) == {"open": 3}, "no scanner ended"
    ledger.merge("shop", NOON + 2 * DAY, [Look("trivy_source", "elsewhere")], [])
    assert sorts(ledger, NOON + 2 * DAY) == {"open": 3}, "another target"
    ledger.merge("shop", NOON + 3 * DAY, [TRIVY], [])
    assert sorts(ledger, NOON + 3 * DAY) == {"open": 2, "fixed": 1}, "pip-audit has not said that they are gone"
    ledger.merge("shop", NOON + 4 * DAY, [AUDIT], [])
    assert sorts(ledger, NOON + 4 * DAY) == {"fixed": 2}


def test_the_same_moment_again_changes_nothing_and_an_older_one_neither(ledger, database):
    def rows():
        with psycopg.connect(**database) as connection:
            return [
                connection.execute(f"SELECT * FROM maintenance.{table} ORDER BY 1, 2, 3").fetchall()
                for table in ("findings", "finding_sightings")
            ]

    ledger.merge("shop", NOON, [TRIVY], seen(hole(), hole(2)))
    ledger.merge("shop", NOON + DAY, [TRIVY], seen(hole()))
    before = rows()
    ledger.merge("shop", NOON + DAY, [TRIVY], seen(hole()))
    assert rows() == before, "a retry"
    ledger.merge("shop", NOON - DAY, [TRIVY], seen(replace(hole(), severity=Severity.LOW)))
    assert rows() == before, "a run that ended late"


def test_what_is_late_is_told_unless_somebody_answers_for_it(ledger):
    until = NOON + 40 * DAY
    ledger.merge("shop", NOON, [], [*seen(hole()), *seen(hole(2), waiver="ours alone (Security)", waived_until=until)])
    assert sorts(ledger, NOON + 29 * DAY) == {"open": 2, "waived": 1}
    assert sorts(ledger, NOON + 30 * DAY) == {"open": 2, "late": 1, "waived": 1}
    [expiring] = ledger.findings("shop", NOON + 30 * DAY, Sort.EXPIRING, most=5)
    assert (expiring.waiver, expiring.waived_until) == ("ours alone (Security)", until)
    assert sorts(ledger, until) == {"open": 2, "late": 2}, "the waiver has ended"


def test_what_nobody_scans_any_more_holds_nothing_open_and_who_only_fails_closes_nothing(ledger):
    other, report = hole(2, target="old"), hole(3, scanner="semgrep", target="somewhere")
    ledger.merge("shop", NOON, [TRIVY], seen(hole(), other, report))
    assert sorts(ledger, NOON) == {"open": 3, "new": 3}
    failed = replace(TRIVY, complete=False)
    scope = [Scope("trivy_source", "shop"), Scope("trivy_source", "old"), Scope("semgrep")]
    ledger.merge("shop", NOON + DAY, [failed], [], scope)
    assert sorts(ledger, NOON + DAY) == {"open": 3}
    ledger.merge("shop", NOON + 2 * DAY, [failed], [], [scope[0], scope[2]])
    assert sorts(ledger, NOON + 2 * DAY) == {"open": 2, "fixed": 1}, "the target old was removed"
    ledger.merge("shop", NOON + 3 * DAY, [failed], [], [scope[0]])
    assert sorts(ledger, NOON + 3 * DAY) == {"open": 1, "fixed": 1}, "nobody sends semgrep's report any more"


def test_who_answers_counts_also_for_what_was_not_seen_today(ledger):
    ledger.merge("shop", NOON, [TRIVY], seen(hole()))
    ledger.waive("shop", [(hole().identity, "because", NOON + 90 * DAY)])
    assert sorts(ledger, NOON + 40 * DAY) == {"open": 1, "waived": 1}
    ledger.waive("shop", [(hole().identity, "", None)])
    assert sorts(ledger, NOON + 40 * DAY) == {"open": 1, "late": 1}


def test_a_severity_that_changes_moves_the_due_date(ledger):
    ledger.merge("shop", NOON, [TRIVY], seen(hole(), due_days=90))
    ledger.merge("shop", NOON + DAY, [TRIVY], seen(replace(hole(), severity=Severity.CRITICAL), due_days=7))
    [one] = ledger.findings("shop", NOON + DAY, Sort.OPEN, most=5)
    assert (one.first_seen, one.due_at, one.finding.severity) == (NOON, NOON + 7 * DAY, Severity.CRITICAL)
    assert set(ledger.counts("shop", NOON + DAY)) == {Severity.CRITICAL}


def test_the_most_urgent_come_first_and_only_so_many(ledger):
    ledger.merge("shop", NOON, [], reversed(seen(hole(1), hole(2), hole(3))))
    assert [one.finding.rule[-1] for one in ledger.findings("shop", NOON, Sort.OPEN, most=2)] == ["1", "2"]


def test_systems_do_not_see_each_other(ledger):
    ledger.merge("shop", NOON, [TRIVY], seen(hole()))
    ledger.merge("bank", NOON + DAY, [TRIVY], [])
    assert (sorts(ledger, NOON + DAY, "bank"), sorts(ledger, NOON + DAY)) == ({}, {"open": 1})


def test_two_at_once_count_everything_once(ledger):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: ledger.merge("shop", NOON, [], seen(hole(n), hole(99))), range(4)))
    assert sorts(ledger, NOON) == {"open": 5, "new": 5}


def test_a_strangers_text_is_kept_as_it_is(ledger):
    for number, text in enumerate(HOSTILE):
        ledger.merge("shop", NOON, [], seen(replace(hole(number), title=text, path=f"a\nb{text}")))
    found = ledger.findings("shop", NOON, Sort.OPEN, most=50)
    assert len(found) == len(HOSTILE)
    assert {one.finding.title for one in found} == {storable(text) for text in HOSTILE}


def test_without_its_tables_it_says_what_to_do(database):
    with pytest.raises(SetupMissingError, match="tdev init"):
        PostgresFindings(facts_of(database)).merge("shop", NOON, [], [])


def test_a_merge_that_is_killed_leaves_nothing_behind(ledger, database):
    ledger.merge("shop", NOON, [TRIVY], seen(hole(1), hole(2)))
    script = f"""
import os, signal
from tests.hooks.test_findings_ledger import *
def killed():
    yield from seen(*(hole(n) for n in range(3, 2500)))
    os.kill(os.getpid(), signal.SIGKILL)
PostgresFindings(facts_of({database!r})).merge("shop", NOON + DAY, [TRIVY], killed())
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-500:]
    assert sorts(ledger, NOON + DAY) == {"open": 2}
    ledger.merge("shop", NOON + DAY, [TRIVY], seen(hole(1)))
    assert sorts(ledger, NOON + DAY) == {"open": 1, "fixed": 1}


@pytest.mark.faults
def test_many_findings_are_merged_without_being_held(ledger):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for at in (NOON, NOON + DAY):
        ledger.merge("shop", at, [TRIVY], (Seen(hole(n), n, 30.0) for n in range(20_000)))
    assert sorts(ledger, NOON + DAY) == {"open": 20_000}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000, "KiB"


def test_who_knows_how_bad_it_is_may_fail_for_a_day(ledger):
    ledger.merge("shop", NOON, [TRIVY, AUDIT], seen(replace(hole(), severity=Severity.CRITICAL), due_days=7))
    unknown = replace(hole(scanner="pip_audit"), severity=Severity.UNKNOWN)
    ledger.merge("shop", NOON + 8 * DAY, [AUDIT], seen(unknown, due_days=30))
    assert sorts(ledger, NOON + 8 * DAY) == {"open": 1, "late": 1}
    [one] = ledger.findings("shop", NOON + 8 * DAY, Sort.LATE, most=5)
    assert (one.finding.severity, one.due_at) == (Severity.CRITICAL, NOON + 7 * DAY)


def test_a_last_look_holds_for_its_basis_and_until_a_broken_one(ledger):
    whole = Look("trivy_source", "shop", "commit 1", {"check": "scan.trivy_source"})
    ledger.merge("shop", NOON, [whole], seen(hole(), hole(2)))
    last = ledger.last_look("shop", "trivy_source", "shop", NOON - DAY, "commit 1")
    assert (last.looked_at, len(last.findings), last.result) == (NOON, 2, {"check": "scan.trivy_source"})
    assert ledger.last_look("shop", "trivy_source", "shop", NOON - DAY, "commit 2") is None
    assert ledger.last_look("shop", "trivy_source", "shop", NOON + DAY, "commit 1") is None, "too long ago"
    ledger.merge("shop", NOON + DAY, [TRIVY], seen(hole(), hole(2)))
    again = ledger.last_look("shop", "trivy_source", "shop", NOON - DAY, "commit 1")
    assert again.looked_at == NOON, "what was not looked at again makes it no younger"
    ledger.merge("shop", NOON + 2 * DAY, [replace(TRIVY, complete=False)], seen(hole()))
    assert sorts(ledger, NOON + 2 * DAY) == {"open": 2}, "a broken look closes nothing"
    assert ledger.last_look("shop", "trivy_source", "shop", NOON - DAY, "commit 1") is None


def named(rule, *aliases, scanner="pip_audit"):
    found = Finding(
        Kind.VULNERABILITY, rule, "a hole", Severity.HIGH, "shop", scanner, "pkg:pypi/shop", aliases=aliases
    )
    return identified([found])[0]


def test_a_hole_that_gets_its_cve_later_is_no_new_one(ledger):
    ledger.merge("shop", NOON, [AUDIT], seen(named("GHSA-aaaa-bbbb-cccc")))
    ledger.waive("shop", [(named("GHSA-aaaa-bbbb-cccc").identity, "asked upstream", NOON + 90 * DAY)])
    later = named("GHSA-aaaa-bbbb-cccc", "CVE-2026-0001")
    assert later.identity != named("GHSA-aaaa-bbbb-cccc").identity
    for days in (1, 2):
        at = NOON + days * DAY
        ledger.merge("shop", at, [AUDIT], seen(later))
        assert sorts(ledger, at) == {"open": 1}, days
        [one] = ledger.findings("shop", at, Sort.OPEN, most=5)
        assert (one.first_seen, one.due_at, one.finding) == (NOON, NOON + 30 * DAY, later)
    ledger.merge("shop", NOON + 3 * DAY, [AUDIT], [])
    assert sorts(ledger, NOON + 3 * DAY) == {"fixed": 1}


def test_a_hole_is_renamed_only_while_nobody_knows_its_new_name(ledger):
    other = named("CVE-2026-0001", scanner="trivy_source")
    ledger.merge("shop", NOON, [AUDIT, TRIVY], seen(named("GHSA-aaaa-bbbb-cccc"), other))
    both = identified([named("GHSA-aaaa-bbbb-cccc", "CVE-2026-0001"), other])
    ledger.merge("shop", NOON + DAY, [AUDIT, TRIVY], seen(*both))
    assert sorts(ledger, NOON + DAY) == {"open": 1, "fixed": 1}


def test_of_two_former_names_the_one_that_is_open_goes_on(ledger):
    ledger.merge("shop", NOON, [AUDIT], seen(named("PYSEC-2026-1")))
    ledger.merge("shop", NOON + DAY, [AUDIT], seen(named("GHSA-aaaa-bbbb-cccc")))
    ledger.merge("shop", NOON + 2 * DAY, [AUDIT], seen(named("GHSA-aaaa-bbbb-cccc", "PYSEC-2026-1", "CVE-2026-0001")))
    [one] = ledger.findings("shop", NOON + 2 * DAY, Sort.OPEN, most=5)
    assert (one.first_seen, one.reopened) == (NOON + DAY, 0)

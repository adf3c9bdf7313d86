"""What a run says of itself, and what is said of references."""

from dataclasses import replace

import pytest

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.buckets.references import check_references
from tdev_operators.core.backup.buckets.report import FINDINGS_KEPT, Finding, Pace, SnapshotReport, Tally
from tdev_operators.core.verdicts import Verdict
from tests.backup_sets import NINE_PM

REPORT = SnapshotReport(
    name="agents",
    objects=5_200,
    bytes=417_000_000,
    unchanged=5_000,
    packed=190,
    packed_bytes=1,
    packs=1,
    copied=10,
    copied_bytes=1,
    streamed=0,
    streamed_bytes=0,
    reused=0,
    deleted=0,
    changed=0,
    vanished=0,
    unreadable=0,
    resampled=52,
    resampled_bytes=1,
    live_looks=52,
    mismatches=0,
    oldest_verified_days=12.345,
    requests={"LIST": 6},
    seconds=1.5,
)


def test_a_good_run_is_ok_and_says_what_it_did():
    result = REPORT.result()
    assert (result.verdict, result.hint) == (Verdict.OK, "")
    assert result.summary == "5,200 objects of 417.0 MB in 1.5 s: 5,000 unchanged, 190 packed, 10 copied."
    assert {measured.name: measured.value for measured in result.measurements}["least recently read"] == 12.35


@pytest.mark.parametrize("verdict", [Verdict.WARNING, Verdict.CRITICAL])
def test_findings_decide_and_have_a_hint(verdict):
    findings = (Finding(Verdict.WARNING, "One."), Finding(verdict, "Two."), *[Finding(verdict, "More.")] * 5)
    result = replace(REPORT, findings=findings, notes=("A note.",)).result()
    assert result.verdict is verdict
    assert result.summary.endswith("copied. One. Two. More. A note.")
    assert result.hint


def test_a_note_alone_is_no_finding():
    assert replace(REPORT, notes=("A note.",)).result().verdict is Verdict.OK


def test_what_moved_meanwhile_is_said():
    summary = replace(REPORT, changed=1, vanished=2, deleted=3, unreadable=4).result().summary
    assert "1 changed meanwhile, 2 vanished meanwhile, 3 deleted since the last set, 4 not in the set." in summary


def test_findings_are_kept_up_to_a_number_and_counted_all():
    tally, part = Tally(), Tally()
    for _ in range(2 * FINDINGS_KEPT):
        part.count(mismatches=1)
        part.found(Verdict.CRITICAL, "Wrong.")
    tally.add(part)
    tally.add(part)
    assert len(tally.findings) == FINDINGS_KEPT
    assert tally.figures["mismatches"] == 4 * FINDINGS_KEPT


def test_lines_of_progress_come_at_most_every_few_seconds():
    lines = []
    pace = Pace(lines.append, "bucket x", expected=100)
    for done in range(100):
        pace.reached(done)
    assert lines == []
    pace._last = pace._start = pace._start - 10
    pace.reached(50)
    pace.reached(51)
    assert lines == ["bucket x: 50 objects, 5/s, about 10 s left"]


def entries(*keys):
    return [Entry(key, 1, "e", NINE_PM, "", "s", "at", None, 1, NINE_PM) for key in keys]


def check(expected, have, there=()):
    return check_references(expected, entries(*have), still_there=lambda keys: set(keys) & set(there))


def test_references_that_all_resolve_are_ok_and_surplus_is_a_figure():
    found = check(["b", "d"], ["a", "b", "c", "d", "e"])
    assert (found.expected, found.dangling, found.deleted_since, found.surplus) == (2, (), (), 3)
    assert found.result().verdict is Verdict.OK


def test_a_dangling_reference_is_critical_and_named():
    found = check(["a", "b", "z"], ["a"], there=["b", "z"])
    result = found.result()
    assert (result.verdict, found.dangling, found.surplus) == (Verdict.CRITICAL, ("b", "z"), 0)
    assert "b, z" in result.summary


def test_a_row_that_was_deleted_with_its_object_is_a_warning_with_its_key():
    result = check(["a", "b"], ["a"]).result()
    assert result.verdict is Verdict.WARNING
    assert result.summary.endswith("refers to them: b.")


def test_nothing_refers_to_nothing():
    assert check([], []).result().verdict is Verdict.OK
    assert check([], ["a"]).surplus == 1
    assert check(["a"], [], there=["a"]).result().verdict is Verdict.CRITICAL

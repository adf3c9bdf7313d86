"""The audit as a whole: one look that fails hides no other, and what changed is told until somebody accepts it."""

from datetime import timedelta

import pytest

from tdev_operators.core.errors import InputError, TargetUnreachableError
from tdev_operators.core.security.audit import run as module
from tdev_operators.core.security.audit.looking import AuditLook, Looked
from tdev_operators.core.security.audit.looks import all_looks
from tdev_operators.core.security.audit.run import accept, audit, difference, state_of
from tdev_operators.core.security.check_names import about, is_named
from tdev_operators.core.verdicts import Verdict
from tests.core.security.audit.conftest import TUESDAY

WEEK = timedelta(days=7)


@pytest.fixture
def only(monkeypatch, place):
    """Audit with these looks alone."""

    def go(*looks, at=TUESDAY):
        monkeypatch.setattr(module, "all_looks", lambda: looks)
        return audit(place.ports, place.settings, place.memory, at=at)

    return go


def a_look(*facts, against="accepted", name="audit.open_ports", **more):
    def look(_ports, _settings, _at):
        return Looked(facts=list(facts), seen=["edge"], **more)

    return AuditLook(name, "ports", against, "Close it.", look)


def test_every_look_says_what_it_is_about_and_may_be_switched_off():
    assert len(all_looks()) == 8
    for look in all_looks():
        assert look.about.endswith(".")
        assert look.hint.endswith(".")
        assert is_named(look.name)
        assert look.name in about()


def test_until_somebody_accepts_it_everything_is_told_and_afterwards_what_differs(only, place):
    [first] = only(a_look("tcp 22", "tcp 443"))
    state = state_of(["tcp 443", "tcp 22"])
    assert first.verdict is Verdict.WARNING
    assert first.summary == "Nobody has accepted what is there: 2 lines, below."
    assert first.hint == f"Close it; or read it and accept it: `tdev audit --accept audit.open_ports --state {state}`."
    assert first.details == ("tcp 22", "tcp 443")

    assert accept(place.memory, place.settings, "audit.open_ports", "lead", TUESDAY + timedelta(hours=1)) == 2
    [same] = only(a_look("tcp 22", "tcp 443"), at=TUESDAY + WEEK)
    assert same.verdict is Verdict.OK
    assert same.summary == "2 lines, what lead accepted on 2026-12-01."

    [other] = only(a_look("tcp 22", "tcp 4444"), at=TUESDAY + 2 * WEEK)
    assert other.verdict is Verdict.WARNING
    assert other.summary == "It differs from what lead accepted on 2026-12-01: 1 added, 1 gone."
    assert other.details == ("+ tcp 4444", "- tcp 443")
    assert {one.name: one.value for one in other.measurements} == {"added": 1, "gone": 1}


def test_what_was_accepted_outlives_the_clearing_away_of_old_samples(only, place):
    only(a_look("tcp 22"))
    accept(place.memory, place.settings, "audit.open_ports", "lead", TUESDAY)
    for week in range(1, 60):
        at = TUESDAY + week * WEEK
        for moments in place.memory.kept.values():
            for old in [one for one in moments if one < at - timedelta(days=200)]:
                del moments[old]
        [result] = only(a_look("tcp 22"), at=at)
        assert result.verdict is Verdict.OK, week
    assert "lead accepted on 2026-12-01" in result.summary


def test_held_against_last_week_a_change_is_told_and_nobody_is_alarmed(only, place):
    look = a_look("a@2", "b@1", against="last week", name="audit.software")
    [first] = only(look)
    assert (first.verdict, first.summary) == (Verdict.OK, "2 lines; there is none of a week ago to compare with.")
    place.memory.remember("audit.software", TUESDAY - WEEK, "a@1", "b@1")
    place.memory.remember("audit.software", TUESDAY - timedelta(hours=1), "a@2", "b@1")
    [result] = only(look)
    assert result.verdict is Verdict.OK
    assert result.summary == "2 lines; since 2026-11-24: 1 added, 1 gone."
    assert result.details == ("+ a@2", "- a@1")


def test_one_that_fails_is_unknown_and_the_others_go_on(only):
    def away(*_):
        raise TargetUnreachableError("The host is away.")

    def broken(*_):
        raise ZeroDivisionError

    hint = "Look."
    first, second, third = only(
        AuditLook("audit.buckets", "x", "accepted", hint, away),
        AuditLook("audit.airflow", "x", "accepted", hint, broken),
        a_look("x", against=""),
    )
    assert (first.verdict, first.summary) == (Verdict.UNKNOWN, "The host is away.")
    assert second.verdict is Verdict.UNKNOWN
    assert third.verdict is Verdict.OK


def test_without_a_ledger_nobody_knows_what_changed(only, place):
    place.memory.away = True
    [result] = only(a_look("x"))
    assert result.verdict is Verdict.UNKNOWN
    assert "the ledger is away" in result.summary


def test_what_is_wrong_is_told_worst_first_and_in_full(only):
    found = [(Verdict.WARNING, f"warning {number}") for number in range(5)] + [(Verdict.CRITICAL, "open")]
    [result] = only(a_look("x", against="", found=found))
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "open warning 0 warning 1 warning 2 And 2 more."
    assert "WARNING: warning 4" in result.details


def test_lines_of_strangers_stay_one_line(only):
    [result] = only(a_look("role evil\nrole\x1b[31m <b>"))
    assert all("\n" not in line and "\x1b" not in line for line in result.details)


@pytest.mark.parametrize(
    ("name", "why"), [("audit.nothing", "is accepted by nobody"), ("audit.buckets", "No audit of the last week")]
)
def test_only_what_was_seen_can_be_accepted(place, name, why):
    with pytest.raises(InputError, match=why):
        accept(place.memory, place.settings, name, "lead", TUESDAY)


def test_only_what_was_read_and_looked_at_whole_can_be_accepted(only, place):
    [first] = only(a_look("tcp 22"))
    read = first.hint.rpartition("--state ")[2].rstrip("`.")
    assert read == state_of(["tcp 22"])
    only(a_look("tcp 22", "tcp 4444"), at=TUESDAY + timedelta(hours=1))
    with pytest.raises(InputError, match=f"and not {read}; read it with"):
        accept(place.memory, place.settings, "audit.open_ports", "lead", TUESDAY + timedelta(hours=2), read)
    only(a_look("tcp 22", skipped={"db": "away"}), at=TUESDAY + timedelta(hours=2))
    with pytest.raises(InputError, match=r"left something out of audit\.open_ports \(db\)"):
        accept(place.memory, place.settings, "audit.open_ports", "lead", TUESDAY + timedelta(hours=3))


def test_what_is_cut_off_a_long_line_counts_all_the_same(only, place):
    long = "policy " + "x" * 400
    only(a_look(f"{long} one"))
    accept(place.memory, place.settings, "audit.open_ports", "lead", TUESDAY)
    [result] = only(a_look(f"{long} two"), at=TUESDAY + WEEK)
    assert result.verdict is Verdict.WARNING
    assert all(len(line) < 350 for line in result.details)


def test_a_difference_is_of_lines(place):
    look = a_look("x", "y")
    place.memory.remember("audit.open_ports accepted", TUESDAY, "y", "z")
    found = difference(place.memory, "t-developer", look, ["x", "y"], TUESDAY)
    assert (found.added, found.removed) == (("x",), ("z",))

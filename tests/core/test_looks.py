"""Looks: which cause a result may name, and that none stops the others."""

from dataclasses import replace

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.looks import Look, take_all, with_causes
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.verdicts import Verdict
from tests.analysed import shipped
from tests.records import result

RED = result("a.cause", Verdict.CRITICAL, "It is down.")
FOLLOWS = result("a.follows", Verdict.UNKNOWN, "It is down.", because_of="a.cause")


def causes(*results, **more):
    return [one.because_of for one in with_causes(results, **more)]


def test_a_cause_has_to_be_red_and_told():
    assert causes(RED, FOLLOWS) == ["", "a.cause"]
    assert causes(replace(RED, verdict=Verdict.WARNING), FOLLOWS) == ["", ""]
    assert causes(FOLLOWS) == [""], "what is not told explains nothing"
    assert causes(replace(RED, because_of="a.cause")) == [""], "nor does anything explain itself"


def test_a_cause_that_does_not_explain_is_none():
    other = replace(FOLLOWS, summary="It is slow.")
    same = {"explains": lambda cause, one: cause.summary == one.summary}
    assert causes(RED, FOLLOWS, other, **same) == ["", "a.cause", ""]


def test_a_look_that_fails_leaves_the_others_and_one_that_is_switched_off_is_not_taken():
    def fails(_subject):
        raise TargetUnreachableError("It is away; look.")

    def defect(_subject):
        raise ZeroDivisionError

    looks = [
        Look("a.one", "", "Do it.", fails, cause="a.cause"),
        Look("a.two", "", "Do it.", defect, cause="a.cause"),
        Look("a.three", "", "Do it.", lambda subject: result("a.three", summary=subject)),
        Look("a.four", "", "", defect),
    ]
    lines = []
    off = (OutOfScopeSettings(check="a.four", reason="r", owner="Ada"),)
    found, out = take_all(looks, "well", shipped(off), lines.append)
    assert [(one.check, one.verdict, one.because_of) for one in found] == [
        ("a.one", Verdict.UNKNOWN, "a.cause"),
        ("a.two", Verdict.UNKNOWN, ""),
        ("a.three", Verdict.OK, ""),
    ]
    assert found[0].hint == "Do it."
    assert [one.check for one in out] == ["a.four"]
    assert len(lines) == 3

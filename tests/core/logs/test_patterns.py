"""Patterns: what is refused, where, and that lines are counted as `re` would count them."""

import re
import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tdev_operators.core.logs.counting import Counting, Window
from tdev_operators.core.logs.patterns import Patterns, refusal_of
from tdev_operators.core.logs.settings import LogPattern
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

ALL = Window(0, 10**9)


@pytest.mark.parametrize(
    ("regex", "position", "what"),
    [
        ("a(?<=b)c", 2, "look-behind"),
        ("a(?<!b)c", 2, "negative look-behind"),
        ("ab(?=c)", 3, "look-ahead"),
        ("ab(?!c)", 3, "negative look-ahead"),
        (r"(a)b\1", 5, "back-reference"),
        (r"(?P<x>a)(?P=x)", 9, "back-reference"),
        ("a(?>b)", 2, "atomic group"),
        ("[+]a++b", 6, "possessive"),
        (r"x\Aa", 2, "anchor of a whole text"),
        ("(*UTF8)a", 1, "control verb"),
        ("aä", 2, r"\\xC3\\xA4"),
        ("a\nb", 2, "control character"),
        ("ab[cd", 3, "Unterminated character class"),
        ("a(b", 2, "Missing close parenthesis"),
        ("a*", 1, "every line"),
        ("a|", 1, "every line"),
        ("a{1,50000}", 1, "too large"),
        ("(((a{100}){100}){100})", 1, "too large"),
    ],
)
def test_a_bad_pattern_is_refused_with_its_position(regex, position, what):
    said = refusal_of(regex)
    assert re.search(rf"\bposition {position}\b", said), said
    assert re.search(what, said), said
    with pytest.raises(ValidationError, match=r"(?s)the pattern odd \(.*\) cannot be used"):
        LogPattern(name="odd", regex=regex, example="a")


@pytest.mark.parametrize(
    "regex", ["ERROR|FATAL", r"[+*]a\+\+", r"\bOOM\b", "(?i)denied", "[]a]", r"^\S+ ERR", "a+?b", r"x\(?=y"]
)
def test_what_is_no_trouble_is_taken(regex):
    assert refusal_of(regex) == ""


def test_the_names_of_our_own_results_and_examples_that_prove_nothing_are_refused():
    with pytest.raises(ValidationError, match="the name 'reading' cannot be used"):
        LogPattern(name="reading", regex="a", example="a")
    with pytest.raises(ValidationError, match="does not match its own example 'ERR'"):
        LogPattern(name="errors", regex="ERROR", example="ERR")
    with pytest.raises(ValidationError, match="has two lines"):
        LogPattern(name="errors", regex="ERROR", example="a\nERROR")


@cache
def compiled(regexes):
    return Patterns.of({str(number): regex for number, regex in enumerate(regexes)})


def counted(regexes, text):
    """Return how many lines each pattern has, counted by us."""
    patterns = compiled(tuple(regexes))
    counting = Counting(patterns, ALL, planted=())
    stamped = b"".join(b"2026-11-23T09:00:00Z" + each + b"\n" for each in text.split(b"\n"))
    counting.feed(stamped)
    seen = counting.end(is_whole=True)
    return [seen.tally.total(name).lines for name in patterns.names]


REGEXES = [
    "ERROR|CRITICAL|FATAL",
    "WARNING|WARN",
    r"a\s+b",
    "[^x]y",
    r"end$",
    r"Z\s*$",
    "a.c",
    r"[\s\S]q",
    "(?s)m.n",
    r"\bword\b",
    "[[:space:]]z",
    r"\D7",
]
PIECES = [*"abcxyzqmn7 \t", "ERROR", "WARNING", "WARN", "FATAL", "end", "word", " b", "a ", "é", "\r"]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_lines_are_counted_as_a_search_in_each_line_counts_them(words):
    text = b"\n".join("".join(each).encode() for each in words)
    lines = [b"2026-11-23T09:00:00Z" + each for each in text.split(b"\n")]
    # `re` knows no POSIX class and lets $ match before a line's end, which no line has here.
    plain = [regex.replace("[[:space:]]", r"\s").replace("$", r"\Z").encode() for regex in REGEXES]
    expected = [sum(re.search(regex, each) is not None for each in lines) for regex in plain]
    assert counted(REGEXES, text) == expected


def test_a_match_that_no_line_has_counts_nowhere():
    assert counted([r"a\s+b", "[^x]y", "(?s)m.n"], b"a\nb\nq\ny\nm\nn") == [0, 1, 0]  # the stamp's Z is before the y


def test_a_line_with_two_matches_counts_once():
    assert counted(["ERROR|CRITICAL", "WARNING|WARN"], b"ERROR CRITICAL ERROR\nWARNING WARN\nx") == [1, 1]


def test_a_pattern_bomb_and_a_line_that_lights_it_take_no_time():
    began = time.process_time()
    assert counted([r"^(\w+\s?)+\$", "(a|aa)+x", "(.*a){20}x"], (b"a" * 5000 + b"\n") * 200) == [0, 0, 0]
    assert time.process_time() - began < 30  # `re` would take longer than the universe has lasted


def test_the_shipped_patterns_are_the_guides_and_match_their_examples():
    shipped = load_settings(include_dir() / "tdev.toml").logs.patterns
    assert {each.name: each.regex for each in shipped} == {
        "errors": "ERROR|CRITICAL|FATAL",
        "warnings": "WARNING|WARN",
        "evolution_failures": "Evolution failed|Rollback initiated",
        "constraint_violations": "Memory exceeded|Speed exceeded",
        "security_events": "Unauthorized|Authentication failed",
    }
    errors = shipped[0].lines
    assert errors is not None
    assert errors.warning == 100

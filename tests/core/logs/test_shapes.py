"""Shapes of messages, and lines that are shown to people."""

import pytest

from tdev_operators.core.logs.shapes import ANY, Shapes
from tdev_operators.core.masking import SHOWN_CHARACTERS, masked_line
from tests.core.logs.conftest import NOW, line
from tests.records import HOSTILE

NOW_HOUR = 495_000


def shapes(*known, seconds=60.0, at_most=100, hour=NOW_HOUR):
    """Return shapes that know these, or one that is in no way of the test."""
    known = known or (["x", 0, ""],)
    return Shapes(known, seconds=seconds, at_most=at_most, hour=hour)


def seen(found, *messages, level="ERROR"):
    found.see([line(NOW, level, "evolution", message)[:-1].encode() for message in messages], 0)
    return [shape.text for shape in found.new]


def test_lines_that_differ_in_values_have_one_shape():
    found = shapes()
    texts = seen(found, *(f"Agent scout-{number} took {number} us and key=v{number}" for number in range(200)))
    assert texts == [f"ERROR evolution Agent {ANY} took {ANY} us and {ANY}"]
    assert found.new[0].lines == 200


def test_words_that_differ_become_values_when_most_of_the_line_is_the_same():
    texts = seen(
        shapes(), "could not write checkpoint alpha to the store", "could not write checkpoint beta to the store"
    )
    assert texts == [f"ERROR evolution could not write checkpoint {ANY} to the store"]


def test_messages_of_another_kind_have_another_shape():
    texts = seen(shapes(), "the store is full", "the engine fell over", "a b", "the store is full of holes")
    assert len(texts) == 4


def test_what_was_known_is_no_news_and_what_is_new_is():
    first = shapes()
    seen(first, "Agent scout-1 took 5 us", "disk is full at 98 percent")
    again = shapes(*first.to_json(), hour=NOW_HOUR + 20)
    assert seen(again, "Agent scout-9 took 7 us", "disk is full at 99 percent") == []
    assert seen(again, "the moon is in the way") == ["ERROR evolution the moon is in the way"]


def test_the_shapes_that_were_seen_last_are_kept():
    found = shapes(["old one", 5, ""], ["older two words here", 4, ""], at_most=2)
    seen(found, "brand new")
    assert [text for text, *_ in found.to_json()] == ["older two words here", "ERROR evolution brand new"]


def test_what_a_run_kept_and_could_no_longer_tell_the_next_try_tells():
    first = shapes()
    seen(first, "the moon is in the way")
    again = shapes(*first.to_json(), hour=NOW_HOUR + 1)
    assert [shape.example[-8:] for shape in again.new] == [" the way"]
    assert shapes(*first.to_json(), hour=NOW_HOUR + 23).new == []


def test_where_nothing_was_known_nothing_is_new():
    found = Shapes((), seconds=9, at_most=9, hour=NOW_HOUR)
    assert seen(found, "the moon is in the way") == []
    assert Shapes(found.to_json(), seconds=9, at_most=9, hour=NOW_HOUR + 1).new == []


def test_beyond_its_time_lines_are_left_out_and_counted():
    found = shapes(seconds=0.0)
    found.see([b"2026-11-23T09:00:00Z ERROR a b"] * 7, 5)
    assert (found.lines, found.left_out, found.new) == (0, 12, [])


def test_the_clock_is_looked_at_while_lines_are():
    found = shapes(seconds=1e-9)
    found.see([b"2026-11-23T09:00:00Z ERROR a b"] * 3000, 0)
    assert (found.lines, found.left_out) == (50, 2950)


def test_of_messages_that_begin_alike_so_many_shapes_are_known_and_new_ones_take_the_place_of_old_ones():
    def message(word, number):
        letters = "".join(chr(97 + int(digit)) for digit in str(number))
        return " ".join(f"{word}{letters}{ending}" for ending in "xyzw")

    found = shapes(at_most=1000)
    assert len(seen(found, *(message("first", number) for number in range(600)))) == 500
    assert (found.lines, found.left_out) == (500, 100)
    assert seen(found, message("first", 5)), "one that has a shape is known by it"
    assert (found.lines, found.left_out) == (501, 100)
    again = shapes(*found.to_json(), hour=NOW_HOUR + 20)
    assert len(seen(again, *(message("second", number) for number in range(30)))) == 30, "what is new is told"
    assert again.left_out == 0
    assert len(again.all) == 501


def test_a_node_of_the_tree_takes_any_number_of_different_words():
    found = shapes()
    words = [f"{first}{second}{third}" for first in "abcdefgh" for second in "ijklmnop" for third in "qrstuv"]
    seen(found, *words)
    assert 1 <= len(found.all) <= len(words) + 1
    again = shapes(*found.to_json(), hour=NOW_HOUR + 20)
    assert seen(again, words[-1]) == []


@pytest.mark.parametrize("text", [*HOSTILE, "", " ", "<*>", "<*> <*>", "\0" * 50, "x " * 500])
def test_nothing_that_a_stranger_writes_breaks_it(text):
    found = shapes()
    found.see(
        [b"2026-11-23T09:00:00Z ERROR api " + text.encode("utf-8", "surrogatepass"), text.encode("utf-8", "replace")], 0
    )
    again = shapes(*found.to_json(), hour=NOW_HOUR + 20)
    again.see([b"2026-11-23T09:00:00Z ERROR api " + text.encode("utf-8", "surrogatepass")], 0)
    assert again.new == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgres://app:hunter2@db:5432/x failed", "hunter2"),
        ("password=hunter2", "hunter2"),
        ('{"api_key": "hunter 2 three"}', "three"),
        ("DB_PASSWORD: hunter2;", "hunter2"),
        ("Authorization: Bearer hunter2hunter2", "hunter2"),
        ("Set-Cookie: sid=hunter2", "hunter2"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln here", "eyJzdWIi"),
        ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("token ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abc"),
        ("-----BEGIN RSA PRIVATE KEY-----MIIEpAIBAAKCAQEA", "MIIEp"),
        ("aws wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY1234567", "wJalr"),
        ("x" * (SHOWN_CHARACTERS - 15) + " password=hunter2hunter2", "hunter"),
    ],
)
def test_a_secret_is_never_shown(text, secret):
    assert secret not in masked_line(f"2026-11-23T09:00:00Z ERROR api {text}")
    assert secret not in masked_line(text.encode())


def test_what_is_no_secret_is_shown():
    uuid, commit = "123e4567-e89b-12d3-a456-426614174000", "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"
    text = f"2026-11-23T09:00:00Z ERROR api agent {uuid} at {commit}"
    assert masked_line(text) == text
    assert len(masked_line("x" * 5000)) == SHOWN_CHARACTERS


def test_terminal_escapes_and_lone_bytes_are_replaced():
    assert masked_line(b"\x1b[31mred \xff") == "\N{REPLACEMENT CHARACTER}[31mred \N{REPLACEMENT CHARACTER}"

"""Stored bytes in few requests, and what is known of them."""

import hashlib

import pytest

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.buckets.stored import Place, Sums, ends, looks_like_md5, spans, wrong_with
from tdev_operators.core.errors import GarbledAnswerError
from tests.backup_sets import NINE_PM

KIB = 1024
PLACE = Place("backups", "app/")


def member(offset, length=10, *, at="p1.tar", set_id="s1"):
    return Entry(f"{at}{offset}", length, "e", NINE_PM, "5f", set_id, at, offset, length, NINE_PM)


def grouped(*entries):
    return [[entry.offset for entry, _ in span.members] for span in spans((entry, None) for entry in entries)]


def test_neighbours_come_with_one_request():
    assert grouped(member(2048), member(512), member(1024)) == [[512, 1024, 2048]]


def test_what_is_far_apart_does_not():
    assert grouped(member(0), member(64 * KIB), member(200 * KIB)) == [[0, 64 * KIB], [200 * KIB]]


def test_a_request_has_a_limit():
    lengths = [member(n * 60 * KIB, 60 * KIB) for n in range(100)]
    assert [len(span) for span in grouped(*lengths)] == [68, 32]


def test_packs_and_copies_are_not_mixed():
    entries = [member(0), member(0, at="p2.tar"), member(0, set_id="s2"), member(None, at="c1"), member(None, at="c2")]
    assert len(grouped(*entries)) == 5


class Bytes:
    def __init__(self, body):
        self.body, self.asked = body, []

    def read(self, bucket, key, *, start=0, length=None):
        self.asked.append((bucket, key, start, length))
        yield self.body[start:][:length]


def test_members_of_a_span_have_their_own_bytes():
    store = Bytes(bytes(range(256)) * 16)
    (span,) = spans([(member(512), "one"), (member(1030), "two"), (member(1040, 0), "none")])
    assert [(tag, body) for _, tag, body in span.read(store, PLACE)] == [
        ("one", bytes(range(10))),
        ("two", bytes(range(6, 16))),
        ("none", b""),
    ]
    assert store.asked == [("backups", "app/s1/p1.tar", 512, 528)]


def test_nothing_is_asked_for_nothing():
    store = Bytes(b"")
    (span,) = spans([(member(512, 0), None)])
    assert [body for *_, body in span.read(store, PLACE)] == [b""]
    assert store.asked == []


def test_a_store_that_gives_too_little_is_told():
    (span,) = spans([(member(0), None)])
    with pytest.raises(GarbledAnswerError, match="gave 3 of the 10 bytes"):
        list(span.read(Bytes(b"abc"), PLACE))


def test_the_ends_of_objects_of_any_size():
    for size in (0, 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, 300 * KIB):
        body = bytes(n % 251 for n in range(size))
        expected = body if size <= 128 * KIB else body[: 64 * KIB] + body[-64 * KIB :]
        assert ends(Bytes(body), "b", "k", size) == expected


def test_what_is_known_of_stored_bytes_decides():
    sums = Sums().take([b"ab", b"c"])
    md5, sha256 = hashlib.md5(b"abc").hexdigest(), hashlib.sha256(b"abc").hexdigest()
    entry = member(None, 3)
    assert wrong_with(entry._replace(sha256=sha256), sums) == ""
    assert wrong_with(entry._replace(sha256=sha256, length=4), sums) == "have a length of 3 instead of 4"
    assert "that were written" in wrong_with(entry, sums)
    assert wrong_with(entry._replace(sha256="", etag=md5, etag_is_md5=True), sums) == ""
    assert "whose ETag" in wrong_with(entry._replace(sha256="", etag=md5[::-1], etag_is_md5=True), sums)
    assert wrong_with(entry._replace(sha256="", etag=md5[::-1]), sums) == ""  # nobody can tell


def test_etags_that_may_be_an_md5():
    assert looks_like_md5("0123456789abcdef" * 2)
    for etag in ("", "0123456789abcdef" * 2 + "-2", "0123456789ABCDEF" * 2, "0" * 31):
        assert not looks_like_md5(etag)

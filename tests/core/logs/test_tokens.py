"""Where reading goes on, whatever rotation made of a file; and texts that are packed, damaged or cut."""

import gzip
import random

import pytest

from tdev_operators.core.logs.texts import TextError, text_of
from tdev_operators.core.logs.tokens import HEAD_BYTES, Start, renewed, start_of, token_of

A = b"a" * 700
B = b"b" * 700


def token(inode=1, text=A, offset=None, family="api.log"):
    return token_of(
        inode=inode, family=family, head=text[:HEAD_BYTES], offset=len(text) if offset is None else offset, minute=7
    )


def start(tokens, *, inode=1, text=A, family="api.log", packed=False):
    size = None if packed else len(text)
    return start_of(tokens, inode=inode, family=family, head=text[:HEAD_BYTES], text_bytes=size, no_time=-1)


def test_a_file_that_grew_goes_on():
    assert start([token()], text=A + B) == Start(700, 7)


def test_a_new_file_begins_at_its_beginning():
    assert start([], text=A) == Start(0, -1)
    assert start([token()], inode=2, text=B) == Start(0, -1)


def test_one_that_was_compressed_or_copied_is_known_by_its_beginning():
    assert start([token()], inode=2, text=A, packed=True) == Start(700, 7, "rotated")
    assert start([token()], inode=2, text=A + B) == Start(700, 7, "rotated")


def test_of_two_that_begin_alike_the_one_of_the_same_log_counts():
    tokens = [token(inode=5, offset=650, family="other.log"), token(inode=6, offset=600)]
    assert start(tokens, inode=9, text=A, packed=True).offset == 600


def test_a_shorter_file_was_truncated_and_another_text_replaced_it():
    assert start([token()], text=A[:600]) == Start(0, -1, "truncated")
    assert start([token()], text=b"") == Start(0, -1, "truncated")
    assert start([token()], text=B + B) == Start(0, -1, "replaced")


def test_after_copytruncate_the_copy_goes_on_and_the_rest_begins_anew():
    tokens = [token()]
    assert start(tokens, inode=2, text=A + B) == Start(700, 7, "rotated")
    assert start(tokens, inode=1, text=B[:50]) == Start(0, -1, "replaced")


def test_a_file_of_which_nothing_was_read_yet_is_not_everybodys_twin():
    empty = token(text=b"", offset=0)
    assert start([empty], inode=2, text=A) == Start(0, -1)
    assert start([empty], inode=1, text=A).offset == 0


def test_tokens_of_what_is_gone_are_forgotten():
    former = [token(1), token(2), token(3)]
    kept = renewed(former, [token(2, offset=600)], [1, 2], since=8)
    assert [(each.inode, each.offset) for each in kept] == [(1, 700), (2, 600)]
    kept = renewed(former, [], [1, 2], since=7)
    assert [each.inode for each in kept] == [1, 2, 3], "what it was packed into may come to light"


def chunked(data, size):
    return iter([data[at : at + size] for at in range(0, len(data), size)])


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_packed_and_plain_text_come_out_the_same(size):
    text = random.Random(3).randbytes(5000) + b"x" * 100_000
    members = gzip.compress(text[:3000]) + gzip.compress(text[3000:]) + b"\0" * 512
    assert b"".join(text_of(chunked(text, size))) == text
    assert b"".join(text_of(chunked(members, size))) == text
    assert b"".join(text_of(chunked(members, size), skip=2999)) == text[2999:]
    assert b"".join(text_of(iter([]))) == b""


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda data: data[:-1], "ends too early"),
        (lambda data: data[: len(data) // 2], "ends too early"),
        (lambda data: data[:3], "ends too early"),
        (lambda data: data[:200] + b"\xff\xff" + data[202:], "damaged"),
        (lambda data: data + b"garbage", "damaged"),
        (lambda data: data[:-8] + b"\1\2\3\4" + data[-4:], "damaged"),
    ],
)
def test_a_damaged_gz_says_so_after_what_could_be_read(harm, why):
    data = gzip.compress(random.Random(3).randbytes(500_000))
    with pytest.raises(TextError, match=why):
        list(text_of(chunked(harm(data), 4096)))


def test_what_others_packed_is_refused():
    with pytest.raises(TextError, match="packed by zstd"):
        list(text_of(iter([b"\x28\xb5\x2f\xfd" + b"x" * 100])))


def test_a_small_file_with_a_giant_text_is_unpacked_in_pieces():
    data = gzip.compress(b"\0" * 50_000_000)
    pieces = [len(piece) for piece in text_of(iter([data]))]
    assert sum(pieces) == 50_000_000
    assert max(pieces) <= 1024 * 1024

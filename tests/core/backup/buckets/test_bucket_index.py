"""The index: what goes in comes out, and no damage passes."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
import zstandard

from tdev_operators.core.backup.buckets.index import Entry, IndexWriter, Totals, encode, entries_of, lines_of
from tdev_operators.core.backup.buckets.walk import Cursor, in_key_order, pages
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.ports import ObjectInfo
from tests.backup_sets import NINE_PM


def entry(key, **changes):
    made = Entry(key, 3, "e1", NINE_PM, "ab", "000001-x", "buckets/agents/packs/1.tar", 512, 3, NINE_PM)
    return made._replace(**changes)


ENTRIES = [
    entry("a"),
    entry("a/b", offset=None, sha256="", etag_is_md5=True),
    entry('quote"\n\\'),
    entry("z\u0000\x7f"),
    entry("é", modified=datetime(2026, 1, 1, 2, 3, 4, 567000, tzinfo=timezone(timedelta(hours=2)))),
    entry("\uffff"),
    entry("😀"),
    entry("😀" * 256),
]


def text_of(entries):
    return b"".join(lines_of(entries, Totals()))


def test_entries_come_back_as_they_were_in_any_chunks():
    text = text_of(ENTRIES)
    assert list(entries_of([text])) == ENTRIES
    assert list(entries_of(text[at : at + 7] for at in range(0, len(text), 7))) == ENTRIES
    assert list(entries_of([text_of([])])) == []


def test_each_line_is_json_that_people_can_read():
    first, *_, last = text_of(ENTRIES).splitlines()
    assert json.loads(first)["key"] == "a"
    assert "md5" not in json.loads(first)
    assert json.loads(last) == {"end": 1, "objects": 8, "bytes": 24}


def test_a_line_without_the_word_of_the_etag_is_read_as_not_knowing():
    assert next(entries_of([encode(entry("a")) + b'{"end": 1, "objects": 1, "bytes": 3}\n'])).etag_is_md5 is False


LINES = text_of(ENTRIES).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (LINES[:-1], "last line is missing"),
        (LINES[:3] + LINES[-1:], "last line tells otherwise"),
        (LINES[1::-1] + LINES[2:], "not in order"),
        (LINES[:1] + LINES, "not in order"),
        ([*LINES, LINES[0]], "follows its last line"),
        ([b"{}\n", *LINES], "is no entry"),
        ([b"[1]\n", *LINES], "is no entry"),
        ([b"\xff\n", *LINES], "is no entry"),
        ([*LINES[:-1], LINES[-1][:-5]], "is no entry"),
        ([b"x" * 70_000], "line without end"),
        ([], "last line is missing"),
    ],
)
def test_damage_is_told(lines, why):
    with pytest.raises(GarbledAnswerError, match=why):
        list(entries_of(lines))


def test_a_writer_writes_the_same_in_pieces():
    chunks = []
    writer = IndexWriter(chunks.append, level=1)
    for one in ENTRIES:
        writer.add(one)
    stored = writer.close("marks")
    body = b"".join(chunks)
    assert stored.size_bytes == len(body)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(body) == text_of(ENTRIES)


def test_a_mark_knows_its_content_again_and_no_other():
    info = ObjectInfo("k", 3, "e1", NINE_PM)
    plain, marked = entry("k"), entry("k").marked()
    assert plain.is_of(info)
    assert marked.is_of(info)
    assert marked.etag.startswith("~")
    for other in (
        ObjectInfo("k", 4, "e1", NINE_PM),
        ObjectInfo("k", 3, "e2", NINE_PM),
        ObjectInfo("k", 3, "", NINE_PM),
    ):
        assert not plain.is_of(other)
        assert not marked.is_of(other)
    nameless = entry("k", etag="")
    assert not nameless.is_of(ObjectInfo("k", 3, "", NINE_PM))
    assert nameless.marked().etag == ""


def infos(*keys):
    return [ObjectInfo(key, 3, "e1", datetime(2026, 1, 1, tzinfo=UTC)) for key in keys]


def test_a_cursor_walks_beside_a_listing():
    cursor = Cursor([entry(key) for key in "bdfh"])
    assert [bool(cursor.seek(info)) for info in infos("a", "b", "c", "f")] == [False, True, False, True]
    assert cursor.passed == 1  # d
    assert cursor.seek(ObjectInfo("h", 4, "other", NINE_PM)) is None
    assert cursor.finish() == 1
    assert Cursor([]).seek(infos("a")[0]) is None


def test_pages_and_order():
    assert [len(page) for page in pages(infos(*"abcde"), 2)] == [2, 2, 1]
    assert list(pages([], 2)) == []
    for keys in ("ba", "aa"):
        with pytest.raises(GarbledAnswerError, match="order of its keys"):
            list(in_key_order(infos(*keys), "bucket"))

"""Counting: lines of any kind, in blocks of any size, in bounded memory."""

import re
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tdev_operators
from tdev_operators.core.logs.counting import BLOCK_BYTES, Counting, Window
from tdev_operators.core.logs.patterns import Patterns
from tests.core.logs.conftest import NOW, line

GUIDE = Patterns.of({"errors": "ERROR|CRITICAL|FATAL", "warnings": "WARNING|WARN", "ends": "done$"})
HOUR = int(NOW.timestamp()) // 3600
WINDOW = Window((HOUR - 24) * 60, int(NOW.timestamp()) // 60 + 5, 5, int(NOW.timestamp()) // 60)


def seen_of(text, *, chunk=0, patterns=GUIDE, is_whole=True, **more):
    counting = Counting(patterns, WINDOW, **more)
    data = text.encode() if isinstance(text, str) else text
    for at in range(0, len(data), chunk or len(data) or 1):
        counting.feed(data[at : at + (chunk or len(data))])
    return counting.end(is_whole=is_whole)


def mixed(count=3000):
    """Lines of every level over three hours, with traces between them."""
    levels = ["INFO", "WARNING", "ERROR", "DEBUG", "CRITICAL"]
    lines = []
    for number in range(count):
        when = NOW - timedelta(hours=3) + timedelta(seconds=number * 3 * 3600 / count)
        lines.append(
            line(when, levels[number % 5], f"part{number % 3}", f"message {number} ERROR {'é' * (number % 7)}")
        )
        if number % 11 == 0:
            lines.append("Traceback WARN in the middle\n")
    return lines


def expected(lines):
    """Count as one would by hand."""
    counts = {"errors": 0, "warnings": 0, "ends": 0}
    hours, levels, hour = Counter(), Counter(), None
    for each in lines:
        if each.startswith("2026"):
            hour = int(datetime.fromisoformat(each.split()[0]).timestamp()) // 3600
            levels[each.split()[1]] += 1
        hours[hour] += 1
        counts["errors"] += bool(re.search("ERROR|CRITICAL|FATAL", each))
        counts["warnings"] += bool(re.search("WARNING|WARN", each))
    return counts, hours, levels


@pytest.mark.parametrize("block", [200, 1000, BLOCK_BYTES])
@pytest.mark.parametrize("chunk", [0, 1, 777])
@pytest.mark.seeded(4)
def test_whatever_the_blocks_the_counts_are_those_by_hand(block, chunk):
    lines = mixed(300 if chunk == 1 else 3000)
    seen = seen_of("".join(lines), chunk=chunk, block_bytes=block)
    counts, hours, levels = expected(lines)
    assert {name: seen.tally.total(name).lines for name in counts} == counts
    assert seen.tally.lines == hours
    assert seen.tally.by_level() == levels
    assert seen.lines == len(lines)
    assert seen.bytes == len("".join(lines).encode())
    assert seen.unstamped == sum(not each.startswith("2026") for each in lines)


def test_the_parts_are_level_and_component_and_the_samples_the_first_and_the_last():
    text = (
        line(NOW, "ERROR", "evolution", "one") + line(NOW, "ERROR", "api", "two") + line(NOW, "INFO", "api", "ERROR x")
    )
    cell = seen_of(text).tally.total("errors")
    assert cell.parts == {"ERROR evolution": 1, "ERROR api": 1, "INFO api": 1}
    assert (cell.first[-3:], cell.last[-7:]) == ("one", "ERROR x")


def test_secrets_in_samples_are_masked():
    cell = seen_of(
        line(NOW, "ERROR", "api", "cannot connect to postgres://app:hunter2@db/x with token=abc123secret")
    ).tally
    told = cell.total("errors").first
    assert "hunter2" not in told
    assert "abc123secret" not in told
    assert "postgres://app:***@db/x" in told


def test_only_the_window_counts_and_the_future_is_told():
    text = "".join(
        line(when, "ERROR")
        for when in (NOW - timedelta(hours=30), NOW - timedelta(hours=24), NOW, NOW + timedelta(hours=2))
    )
    seen = seen_of(text)
    assert seen.tally.total("errors").lines == 2
    assert (seen.future, seen.lines) == (1, 4)


def test_a_line_without_a_stamp_belongs_to_the_line_before_it():
    old, new = NOW - timedelta(hours=40), NOW - timedelta(hours=1)
    text = line(old) + "ERROR of old\n" + line(new) + "ERROR of new\n  at file.py\n"
    seen = seen_of(text)
    assert seen.tally.total("errors").last == "ERROR of new"
    assert seen.tally.total("errors").lines == 1
    resumed = seen_of("ERROR goes on\n", before=int(new.timestamp()) // 60)
    assert resumed.tally.total("errors").lines == 1
    assert seen_of("ERROR of nobody knows when\n").tally.total("errors").lines == 0


def test_a_clock_that_goes_back_is_told_and_small_steps_are_not():
    back = line(NOW) + line(NOW - timedelta(hours=3), "ERROR") + line(NOW, "ERROR")
    seen = seen_of(back)
    assert seen.steps_back == 1
    assert seen.step_back == (int(NOW.timestamp()) // 60, int(NOW.timestamp()) // 60 - 180)
    assert seen.tally.total("errors").lines == 2
    assert seen_of(line(NOW) + line(NOW - timedelta(minutes=3))).steps_back == 0


@pytest.mark.parametrize(
    "stamp", ["2026-02-31T09:00:00Z", "2026-11-23T25:00:00Z", "2026-11-23X09:00", "2026-1123T09:00:00", "9" * 30]
)
def test_what_is_no_moment_is_no_stamp(stamp):
    seen = seen_of(f"{stamp} ERROR x y\n" + line(NOW, "ERROR"))
    assert (seen.lines, seen.unstamped) == (2, 1)
    assert seen.tally.total("errors").lines == 1


def test_a_blank_in_place_of_the_t_and_no_fraction_are_stamps_too():
    text = "2026-11-23 13:00:00,123 ERROR api x\n" * 2
    seen = seen_of(text)
    assert (seen.unstamped, seen.tally.total("errors").parts) == (0, {"ERROR api": 2})
    assert seen.tally.by_level() == {"ERROR": 2}


def test_the_last_line_without_its_end_counts_only_when_nothing_will_follow():
    text = line(NOW, "ERROR") + line(NOW, "ERROR")[:-1]
    growing, whole = seen_of(text, is_whole=False), seen_of(text, is_whole=True)
    assert (growing.lines, growing.bytes) == (1, len(line(NOW, "ERROR")))
    assert (whole.lines, whole.bytes) == (2, len(text))
    assert whole.tally.total("errors").lines == 2


@pytest.mark.parametrize("block", [64, 1000])
@pytest.mark.parametrize("chunk", [0, 1, 63, 64, 65])
def test_a_line_longer_than_a_block_counts_once_wherever_its_pieces_end(block, chunk):
    long = line(NOW, "INFO", "api", "x" * 2500 + " FATAL " + "y" * 900 + " done")
    text = line(NOW, "ERROR") + long + line(NOW, "WARNING") + long
    seen = seen_of(text, chunk=chunk, block_bytes=block)
    assert {name: seen.tally.total(name).lines for name in GUIDE.names} == {"errors": 3, "warnings": 1, "ends": 2}
    assert (seen.lines, seen.bytes, seen.long_lines) == (4, len(text), 2)
    assert seen.tally.lines == {HOUR: 4}
    unfinished = seen_of(text[:-1], chunk=chunk, block_bytes=block, is_whole=False)
    assert (unfinished.lines, unfinished.tally.total("errors").lines) == (3, 2)


def test_binary_bytes_nul_and_invalid_utf_8_are_lines_like_others():
    text = (
        line(NOW).encode()
        + bytes(range(256)) * 50
        + b"ERROR\xff\xfe\n\0\0\0\n"
        + line(NOW, "ERROR", "api", "\xff").encode("latin-1")
    )
    seen = seen_of(text)
    assert seen.tally.total("errors").lines == 2
    assert seen.tally.total("errors").last.endswith("ERROR api \N{REPLACEMENT CHARACTER}")


def test_so_many_matches_that_a_block_is_looked_at_line_by_line_count_the_same():
    dense = Patterns.of({"any": ".", "errors": "ERROR"})
    lines = [line(NOW, "ERROR" if number % 3 else "INFO") for number in range(9000)]
    seen = seen_of("".join(lines), patterns=dense)
    assert {name: seen.tally.total(name).lines for name in dense.names} == {"any": 9000, "errors": 6000}


def test_a_block_of_nothing_but_line_ends_is_taken_in_parts():
    seen = seen_of(line(NOW, "ERROR").encode() + b"\n" * 300_000 + line(NOW, "ERROR").encode())
    assert (seen.lines, seen.unstamped, seen.tally.total("errors").lines) == (300_002, 300_000, 2)


def test_planted_lines_are_proof_and_no_findings():
    seen = seen_of(line(NOW), planted=[b"ERROR", b"WARN", b"it is done"])
    assert {(at, at) for at in range(3)} <= seen.planted
    assert (seen.lines, seen.bytes, seen.unstamped) == (1, len(line(NOW)), 0)
    assert not seen.tally.hits
    assert seen_of(line(NOW), planted=[b"ERROR", b"nothing", b"it is done"]).planted == {(0, 0), (2, 2)}
    cut = seen_of(line(NOW), planted=[b"ERROR", b"WARN", b"it is done"], block_bytes=8)
    assert (cut.planted, cut.lines) == (seen.planted, 1)


class Seen:
    """Remembers what it was shown."""

    def __init__(self):
        self.lines, self.left_out = [], 0

    def see(self, lines, left_out):
        self.lines += lines
        self.left_out += left_out


def test_shapes_are_shown_some_of_each_kind_of_bad_lines_of_the_window():
    shapes = Seen()
    lines = [line(NOW, "WARNING", "api", f"slow request of everybody {number}") for number in range(50)]
    lines += [line(NOW, "ERROR", "evolution", "rare"), line(NOW, "INFO"), line(NOW - timedelta(days=3), "ERROR")]
    seen_of("".join(lines), shapes=shapes)
    shown = [each.decode() for each in shapes.lines]
    assert sum("rare" in each for each in shown) == 1
    assert len(shown) + shapes.left_out == 51
    assert 1 < len(shown) < 10


HUGE = """
import resource, sys
sys.path.insert(0, {path!r})
from tdev_operators.core.logs.counting import Counting, Window
from tdev_operators.core.logs.patterns import Patterns
counting = Counting(Patterns.of({{"errors": "ERROR"}}), Window(0, 10**9))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
counting.feed(b"2026-11-23T09:00:00Z INFO api ")
piece = b"x" * (1 << 20)
for number in range({megabytes}):
    counting.feed(piece)
counting.feed(b" ERROR\\n2026-11-23T09:00:00Z ERROR api x\\n")
seen = counting.end(is_whole=True)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(seen.lines, seen.tally.total("errors").lines, grown)
"""


def test_one_line_of_500_mb_takes_no_memory():
    path = str(Path(tdev_operators.__file__).parents[1])
    program = HUGE.format(path=path, megabytes=500)
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    lines, errors, grown = map(int, printed.split())
    assert (lines, errors) == (2, 2)
    assert grown < 40  # MB


def test_utc_is_what_stamps_are_in():
    seen = seen_of(line(datetime(2026, 11, 23, 0, 0, tzinfo=UTC), "ERROR"))
    assert list(seen.tally.by_hour("errors")) == [int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) // 3600]


def test_streams_that_are_counted_at_once_count_what_each_alone_counts():
    patterns = Patterns.of({"errors": "ERROR|FATAL", "across": r"a\s+b", "any": ".", "ends": "done$"})
    long = line(NOW, "ERROR", "api", "x" * 5000 + " done")
    text = ("".join(mixed(4000)) + long) * 2
    results = []

    def work(chunk):
        seen = seen_of(text, chunk=chunk, block_bytes=4000, patterns=patterns)
        results.append([seen.tally.total(name).lines for name in patterns.names])

    threads = [threading.Thread(target=work, args=(chunk,)) for chunk in (700, 4000, 5001, 100_000) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(threads)
    assert results == [results[0]] * len(threads)
    assert results[0][3] == 2


def test_stamps_of_every_form_in_one_block_have_their_level_and_component():
    forms = [
        "2026-11-23T13:00:00Z",
        "2026-11-23T13:00:00.123Z",
        "2026-11-23T13:00:00.123456Z",
        "2026-11-23 13:00:00",
        "2026-11-23T13:00",
        "2026-11-23T13:00:00+00:00",
        "2026-11-23 13:00:00,123",
        "2026-11-23 13:00:00,999",
    ]
    lines = [
        f"{form} {level} api broken\n" for number in range(50) for form in forms for level in ("ERROR", "ERR", "E")
    ]
    seen = seen_of("".join([*lines, "2026-11-23T13:00:00\n", "2026-11-23T13:00:00ERRORandnoblank\n"]), patterns=EVERY)
    assert seen.tally.by_level() == {"ERROR": 1200, "other": 2}
    assert seen.tally.total("broken").parts == {f"{level} api": 400 for level in ("ERROR", "ERR", "E")}


EVERY = Patterns.of({"broken": "broken"})


def test_words_behind_the_level_that_are_all_different_take_no_memory():
    from tdev_operators.core.logs.parts import PART_MASK

    counting = Counting(EVERY, WINDOW)
    for block in range(5):
        counting.feed(
            "".join(line(NOW, "ERROR", f"{block * 2000 + each:08x}", "broken") for each in range(2000)).encode()
        )
    seen = counting.end(is_whole=True)
    assert seen.tally.total("broken").lines == 10_000
    assert len(counting._parts._numbers) <= PART_MASK

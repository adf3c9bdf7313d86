"""agents.parse: hostile sources included."""

import platform
import time

import pytest

from tdev_operators.core.errors import InputError, TargetTimeoutError
from tdev_operators.core.health.agents import parse
from tdev_operators.core.verdicts import Verdict

K = 32 * 1024

HOSTILE = {
    "null byte": b"a = 1\0\n",
    "not UTF-8": b"a = '\xff'\n",
    "unary": b"-" * (K - 1) + b"1",
    "sum": b"1" + b"+1" * (K // 2 - 1),
    "attributes": b"a" + b".a" * (K // 2 - 1),
    "calls": b"a" + b"()" * (K // 2 - 1),
    "brackets": b"(" * K,
    "lambdas": b"lambda:" * (K // 7 - 1) + b"1",
    "indentation": b"".join(b" " * n + b"if 1:\n" for n in range(120)),
    "digits": b"9" * K,
}


def test_good_sources_are_ok(registry, shipped):
    result = parse.check(registry({"a": (1, 1), "b": (1, 1)}), shipped)
    assert result.verdict is Verdict.OK
    assert result.summary == "All 2 sources parse."
    assert result.coverage.tool.startswith("Python 3.")


def test_a_source_with_an_odd_escape_is_good_where_warnings_are_errors(registry, shipped):
    system = registry({}, {"a": rb'pattern = "\d"' + b"\nassert (1, 'x')\n"})
    assert parse.check(system, shipped).verdict is Verdict.OK


def test_a_broken_source_is_critical_and_says_where(registry, shipped, source):
    result = parse.check(registry({}, {"good.py": source, "bad.py": b"def f():\nreturn\n"}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == (
        f"1 of 2 sources do not parse with this worker's Python {platform.python_version()}: "
        "bad.py (line 2: expected an indented block after function definition on line 1)."
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_source_is_critical_and_harms_nothing(registry, shipped, name):
    assert parse.check(registry({}, {"bad.py": HOSTILE[name]}), shipped).verdict is Verdict.CRITICAL


def test_nothing_is_executed(registry, shipped, tmp_path):
    trace = tmp_path / "trace"
    parse.check(registry({}, {"a.py": f"open({str(trace)!r}, 'w')\n".encode()}), shipped)
    assert not trace.exists()


def test_a_source_above_the_bound_is_not_parsed_and_not_ok(registry, shipped, source):
    result = parse.check(registry({}, {"good.py": source, "large.py": b"#" * (K + 1)}), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert result.because_of == "agents.limits"
    assert "above 32 KB: large.py" in result.summary


@pytest.mark.parametrize("gone", [False, True])
def test_a_source_that_cannot_be_read(registry, shipped, source, gone):
    system = registry({}, {"a.py": source, "b.py": source})
    store = system.objects

    def read(bucket, key, *, max_bytes):
        if key == "a.py":
            return source
        if gone:
            store.buckets[bucket].pop(key)
            raise InputError("There is no such object.")
        raise TargetTimeoutError("Silence.")

    store.read = read
    result = parse.check(system, shipped)
    assert result.verdict is (Verdict.OK if gone else Verdict.UNKNOWN)


def test_it_stops_in_time_and_says_what_was_not_read(registry, change, source):
    system = registry({}, {f"{n:04}.py": source for n in range(2000)})
    store = system.objects

    def read(bucket, key, *, max_bytes):
        time.sleep(0.05)
        return source

    store.read = read
    started = time.monotonic()
    result = parse.check(system, change({"health.check_timeout_seconds": 1.0}))
    assert time.monotonic() - started < 5
    assert result.verdict is Verdict.UNKNOWN
    assert "the rest of s3://t-developer-agents was not looked at (after 0.5 s " in result.summary


def test_many_broken_sources_are_counted_and_few_are_named(registry, shipped):
    result = parse.check(registry({}, {f"{n:04}.py": b"(" for n in range(500)}), shipped)
    assert "500 of 500 sources do not parse" in result.summary
    assert result.summary.endswith("and 497 more.")


def test_an_empty_bucket_is_unknown(registry, shipped):
    assert parse.check(registry({}, {}), shipped).verdict is Verdict.UNKNOWN


def test_a_thousand_sources_are_read_at_once_and_in_bounded_chunks(registry, shipped, source):
    system = registry({}, {f"{n:04}.py": source for n in range(1000)})
    started = time.monotonic()
    assert parse.check(system, shipped).verdict is Verdict.OK
    assert time.monotonic() - started < 10

"""database.checksum_failures."""

from tdev_operators.core.health.database import checksum_failures
from tdev_operators.core.verdicts import Verdict


def test_none(ports, shipped, arena):
    result = checksum_failures.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert result.summary.startswith("No checksum failed")


def test_one_is_critical(ports, shipped, arena, patched):
    bad = patched(arena.look, {"checksum_failures": {"failures": 1, "last_failure": "2026-11-23 11:00 UTC"}})
    result = checksum_failures.check(ports(database=bad), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "had 1 wrong checksums, the last at 2026-11-23 11:00 UTC." in result.summary


def test_checksums_off_is_not_measured_and_not_green(ports, shipped, arena, patched):
    off = patched(arena.look, {"checksum_failures": {"enabled": False}})
    result = checksum_failures.check(ports(database=off), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert "checksums are off" in result.summary


def test_young_statistics_are_unknown(ports, change, arena):
    settings = change({"health.database.minimum_statistics_age_hours": 1.0})
    assert checksum_failures.check(ports(database=arena.look), settings).verdict is Verdict.UNKNOWN

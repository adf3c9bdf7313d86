"""What is worked at first: exploited, likely to be, bad; and by when."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.security.findings import Finding, Kind, Severity
from tdev_operators.core.security.urgency import Feeds, due_days_of, priority_of, read_feeds

HOLE = Finding(Kind.VULNERABILITY, "CVE-2026-0001", "a hole", Severity.LOW, "shop", "trivy", package="pkg:pypi/a")
DAYS = {"critical": 7, "high": 30, "medium": 90, "low": 120}
KEV = {
    "title": "CISA Catalog of Known Exploited Vulnerabilities",
    "catalogVersion": "2026.11.28",
    "dateReleased": "2026-11-28T15:00:02.1234Z",
    "count": 1,
    "vulnerabilities": [{"cveID": "CVE-2026-0001", "vendorProject": "x", "dueDate": "2026-12-19"}],
}
EPSS = "#model_version:v2025.03.14,score_date:2026-11-28T12:55:00+0000\ncve,epss,percentile\nCVE-2026-0002,0.91,0.99\n"


@pytest.fixture
def feeds(tmp_path):
    (tmp_path / "kev.json").write_text(json.dumps(KEV))
    (tmp_path / "epss.csv.gz").write_bytes(gzip.compress(EPSS.encode()))
    return read_feeds(tmp_path / "kev.json", tmp_path / "epss.csv.gz")


def test_both_feeds_are_read_with_their_dates(feeds):
    assert feeds.exploited == {"CVE-2026-0001"}
    assert feeds.likely == {"CVE-2026-0002": 0.91}
    assert feeds.made == {
        "KEV": datetime(2026, 11, 28, 15, 0, 2, 123400, UTC),
        "EPSS": datetime(2026, 11, 28, 12, 55, tzinfo=UTC),
    }


def test_the_exploited_come_first_then_the_likely_then_the_bad(feeds):
    in_order = [
        HOLE,
        replace(HOLE, rule="GHSA-x", aliases=("CVE-2026-0002",)),
        replace(HOLE, rule="CVE-2026-0003", severity=Severity.CRITICAL, cvss=9.9),
        replace(HOLE, rule="CVE-2026-0003", severity=Severity.CRITICAL, cvss=9.0),
        replace(HOLE, rule="CVE-2026-0003", severity=Severity.HIGH, cvss=9.9),
        replace(HOLE, rule="CVE-2026-0003", severity=Severity.UNKNOWN),
        replace(HOLE, rule="CVE-2026-0003", severity=Severity.MEDIUM),
        replace(HOLE, rule="CVE-2026-0003"),
    ]
    priorities = [priority_of(one, feeds) for one in in_order]
    assert priorities == sorted(priorities)
    assert len(set(priorities)) == len(in_order)
    assert all(0 <= one < 2**31 for one in priorities), "a column of the ledger"


def test_what_is_exploited_is_due_like_a_critical_one_and_the_unknown_like_a_high_one(feeds):
    assert due_days_of(HOLE, feeds, DAYS) == 7
    assert due_days_of(HOLE, Feeds(), DAYS) == 120
    assert due_days_of(replace(HOLE, severity=Severity.UNKNOWN), Feeds(), DAYS) == 30


def test_no_feeds_are_no_error():
    assert read_feeds(None, None) == Feeds()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "{", '{"dateReleased": "2026-11-28", "vulnerabilities": []}', '{"vulnerabilities": [{}]}', "\xff"],
)
def test_a_broken_feed_is_not_taken_for_an_empty_one(tmp_path, text):
    (tmp_path / "feed").write_text(text, encoding="latin-1")
    with pytest.raises(GarbledAnswerError):
        read_feeds(tmp_path / "feed", None)
    with pytest.raises(GarbledAnswerError):
        read_feeds(None, tmp_path / "feed")


def test_a_feed_that_is_cut_off_is_not_believed(tmp_path):
    (tmp_path / "feed").write_bytes(gzip.compress(EPSS.encode())[:-12])
    with pytest.raises(GarbledAnswerError):
        read_feeds(None, tmp_path / "feed")


def test_a_feed_that_is_not_there_says_so(tmp_path):
    with pytest.raises(InputError, match="There is no feed"):
        read_feeds(tmp_path / "none", None)

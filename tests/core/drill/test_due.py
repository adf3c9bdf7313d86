"""Whether a drill is due is a pure function of the evidence and of the day."""

from datetime import UTC, datetime

import pytest

from tdev_operators.core.drill.due import due_result
from tdev_operators.core.drill.evidence import Evidence

LINK = "https://airflow/dags/tdev_dr_drill"


def evidence(day, verdict="OK", phases=None):
    at = datetime.fromisoformat(f"{day}T10:00:00+00:00")
    return Evidence(
        number=1,
        previous_sha256="",
        system="t-developer",
        recovery_id="drill-x",
        asked_by="lead",
        approved_by=("deputy",),
        disaster_at=at,
        ended_at=at,
        set_id="000001-x",
        manifest_sha256="",
        recovery_point=at,
        phases={"data": 60.0} if phases is None else phases,
        database_bytes=1,
        rows=1,
        objects=1,
        verdict=verdict,
        results=(),
        product_version="0",
    )


@pytest.mark.parametrize(
    ("held", "today", "verdict"),
    [
        ([], "2026-11-05", "WARNING"),
        ([], "2026-11-25", "CRITICAL"),
        ([evidence("2026-11-03")], "2026-11-05", "OK"),
        ([evidence("2026-11-03")], "2026-11-30", "OK"),
        ([evidence("2026-10-29")], "2026-11-05", "WARNING"),
        ([evidence("2026-10-29")], "2026-11-24", "WARNING"),
        ([evidence("2026-10-29")], "2026-11-25", "CRITICAL"),
        ([evidence("2026-09-29")], "2026-11-01", "CRITICAL"),
        ([evidence("2025-12-29")], "2026-01-05", "WARNING"),
        ([evidence("2025-11-29")], "2026-01-05", "CRITICAL"),
        ([evidence("2026-10-29"), evidence("2026-11-03", "UNKNOWN")], "2026-11-25", "CRITICAL"),
        ([evidence("2026-10-29"), evidence("2026-11-03", "CRITICAL")], "2026-11-05", "WARNING"),
        ([evidence("2026-10-29"), evidence("2026-11-03", "WARNING")], "2026-11-25", "OK"),
        ([evidence("2026-11-03", "OK", phases={})], "2026-11-25", "CRITICAL"),
    ],
)
def test_a_month_has_its_drill_and_only_one_that_was_proven_counts(held, today, verdict):
    found = due_result(held, datetime.fromisoformat(f"{today}T08:00:00+00:00"), 25, LINK)
    assert found.verdict == verdict, found.summary
    assert (LINK in found.hint) is (verdict != "OK"), "whoever is reminded is told where it starts"


def test_the_reminder_says_what_was_last_measured():
    found = due_result([evidence("2026-10-29")], datetime(2026, 11, 5, 8, tzinfo=UTC), 25, LINK)
    assert found.summary == (
        "No drill was proven this month. The last proven drill was at 2026-10-29 10:00 UTC, 7 d ago: 60 s to recover."
    )

"""Findings for other tools: valid, whole, and harmless whatever a stranger has written into them."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.security.exports import WRITERS
from tdev_operators.core.security.findings import Finding, Kind, Severity, identified
from tdev_operators.core.security.ledger import Recorded
from tests.records import HOSTILE

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOLE = Finding(
    Kind.VULNERABILITY,
    rule="GHSA-462w-v97r-4m45",
    title="escape",
    severity=Severity.HIGH,
    target="shop",
    scanner="trivy_source",
    package="pkg:pypi/jinja2",
    version="2.10",
    path="requirements.txt",
    cvss=8.6,
    aliases=("CVE-2019-10906",),
)
LINE = Finding(
    Kind.CODE, "B602", "shell", Severity.MEDIUM, "shop", "bandit", path="app/a b.py", line=5, text="call(x, shell=True)"
)


def recorded(finding, **more):
    [one] = identified([finding])
    return Recorded(one, NOW, NOW, NOW, 0, NOW + 30 * DAY, **more)


def written(form, *each):
    out = io.StringIO()
    WRITERS[form](each, out, version="0.1.0", at=NOW + DAY)
    return out.getvalue()


def test_sarif_has_a_result_a_finding_with_its_identity_and_its_waiver():
    waived = recorded(HOLE, waiver="ours alone (Security)", waived_until=NOW + 9 * DAY)
    sarif = json.loads(written("sarif", recorded(LINE), waived))
    assert sarif["version"] == "2.1.0"
    [run] = sarif["runs"]
    line, hole = run["results"]
    assert line["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "app/a%20b.py"},
        "region": {"startLine": 5},
    }
    assert (line["ruleId"], line["level"]) == ("B602", "warning")
    assert line["partialFingerprints"] == {"tdev/v1": recorded(LINE).finding.identity}
    assert "suppressions" not in line
    assert (hole["level"], hole["properties"]["security-severity"]) == ("error", "8.6")
    assert hole["suppressions"][0]["justification"] == "ours alone (Security)"


def test_vex_says_what_is_to_be_said_of_each_vulnerability():
    vex = json.loads(
        written(
            "vex",
            recorded(LINE),
            recorded(HOLE),
            recorded(HOLE, waiver="ours alone", waived_until=NOW + 9 * DAY),
            recorded(HOLE, waiver="was ours alone", waived_until=NOW),
            recorded(HOLE, fixed_at=NOW),
        )
    )
    assert (vex["bomFormat"], vex["specVersion"]) == ("CycloneDX", "1.6")
    assert [one["id"] for one in vex["vulnerabilities"]] == ["CVE-2019-10906"] * 4, "code has no place in it"
    assert [one["analysis"]["state"] for one in vex["vulnerabilities"]] == [
        *("in_triage", "exploitable", "in_triage", "resolved"),
    ]
    assert vex["vulnerabilities"][0]["affects"] == [{"ref": "pkg:pypi/jinja2@2.10"}]
    assert vex["vulnerabilities"][0]["ratings"] == [{"severity": "high", "score": 8.6, "method": "CVSSv31"}]


def test_csv_has_a_row_a_finding():
    rows = list(csv.DictReader(io.StringIO(written("csv", recorded(HOLE), recorded(LINE)))))
    assert [row["place"] for row in rows] == ["pkg:pypi/jinja2@2.10", "app/a b.py:5"]
    assert rows[0]["due_at"] == "2026-12-29T12:00:00+00:00"


@pytest.mark.parametrize("form", WRITERS)
def test_no_findings_are_a_whole_document_too(form):
    text = written(form)
    assert list(csv.DictReader(io.StringIO(text))) == [] if form == "csv" else json.loads(text)


@pytest.mark.parametrize("form", WRITERS)
def test_a_strangers_text_breaks_no_form(form):
    odd = [recorded(replace(HOLE, title=text, package=f"pkg:pypi/{number}")) for number, text in enumerate(HOSTILE)]
    text = written(form, *odd)
    assert "\x1b" not in text
    rows = list(csv.DictReader(io.StringIO(text))) if form == "csv" else json.loads(text)
    assert len(rows) == len(HOSTILE) if form == "csv" else rows


@pytest.mark.parametrize("begins", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_cell_is_a_formula(begins):
    [row] = csv.DictReader(io.StringIO(written("csv", recorded(replace(LINE, title=begins)))))
    assert row["title"].startswith("'") or not row["title"].startswith(("=", "+", "-", "@"))

"""SARIF of any tool: what it found, and what it says that it could not do."""

import io
import json
from pathlib import Path

import pytest

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.security.exports import write_sarif
from tdev_operators.core.security.findings import Kind, Severity, identified
from tdev_operators.core.security.sarif import found_in_sarif
from tdev_operators.core.security.scanning import Target
from tests.core.security.test_exports import HOLE, LINE, NOW, recorded

TARGET = Target("shop", "source", Path("/root-of-it"))


def result(**more):
    return {
        "ruleId": "subprocess-shell-true",
        "message": {"text": "a shell"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "target/app/a%20b.py"},
                    "region": {"startLine": 5, "snippet": {"text": "call(x, shell=True)"}},
                }
            }
        ],
        "fingerprints": {"matchBasedId/v1": "requires login"},
        **more,
    }


def sarif(*results, rules=(), **more):
    driver = {"name": "tool", "rules": list(rules)}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": list(results), **more}]}


def one(report):
    [finding] = found_in_sarif(report, TARGET, "tool").findings
    return finding


def test_a_result_is_a_finding_where_it_stands():
    found = one(sarif(result(level="error")))
    assert (found.kind, found.rule, found.path, found.line, found.severity) == (
        *(Kind.CODE, "subprocess-shell-true", "target/app/a b.py"),
        *(5, Severity.HIGH),
    )
    assert "shell=True" not in str(found.to_json())


@pytest.mark.parametrize(
    ("more", "rule", "severity"),
    [
        ({}, {}, Severity.MEDIUM),
        ({"level": "note"}, {}, Severity.LOW),
        ({}, {"defaultConfiguration": {"level": "error"}}, Severity.HIGH),
        ({"level": "note"}, {"properties": {"security-severity": "9.8"}}, Severity.CRITICAL),
        ({"properties": {"security-severity": "5.0"}}, {"properties": {"security-severity": "9.8"}}, Severity.MEDIUM),
        ({"level": "error", "properties": {"security-severity": "bad"}}, {}, Severity.HIGH),
    ],
)
def test_how_bad_it_is_stands_in_three_places(more, rule, severity):
    assert one(sarif(result(**more), rules=[{"id": "subprocess-shell-true", **rule}])).severity is severity


def test_two_findings_with_the_same_fingerprint_are_two():
    other = result(ruleId="other")
    found = found_in_sarif(sarif(result(), other), TARGET, "tool").findings
    assert len(identified(found)) == 2


def test_a_file_uri_and_a_path_mean_the_same():
    place = {"physicalLocation": {"artifactLocation": {"uri": "file:///root-of-it/target/app/a%20b.py"}}}
    assert one(sarif(result(locations=[place]))).path == "target/app/a b.py"
    assert one(sarif(result(locations=[]))).path == ""


def test_what_is_suppressed_or_passed_is_no_finding_and_told():
    found = found_in_sarif(sarif(result(suppressions=[{"kind": "inSource"}]), result(kind="pass")), TARGET, "tool")
    assert found.findings == []
    assert found.remarks == ["1 result were suppressed by the tool and not judged"]
    rejected = result(suppressions=[{"kind": "external", "status": "rejected"}])
    assert len(found_in_sarif(sarif(rejected), TARGET, "tool").findings) == 1


@pytest.mark.parametrize(
    "invocation",
    [
        {"executionSuccessful": False},
        {
            "executionSuccessful": True,
            "toolExecutionNotifications": [{"level": "error", "message": {"text": "bad.py: syntax error"}}],
        },
    ],
)
def test_a_run_that_did_not_do_everything_says_so(invocation):
    assert found_in_sarif(sarif(invocations=[invocation]), TARGET, "tool").skipped
    assert found_in_sarif(sarif(result(kind="open")), TARGET, "tool").skipped, "it could not decide"
    without = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "tool"}}}]}
    assert found_in_sarif(without, TARGET, "tool").skipped, "it did not try"
    fine = {"executionSuccessful": True, "toolExecutionNotifications": [{"level": "note", "message": {"text": "x"}}]}
    assert found_in_sarif(sarif(invocations=[fine]), TARGET, "tool").skipped == {}


@pytest.mark.parametrize(
    "report",
    [
        *(
            {"version": "2.1.0", "runs": []},
            {},
            [],
            "clean",
            {"version": "2.1.0"},
            {"version": "1.0.0", "runs": []},
            {"version": "2.1.0", "runs": [{}]},
        ),
        sarif({"message": {"text": "no rule"}}),
        sarif({"ruleId": "x", "message": 5}),
        sarif(result(locations=5)),
    ],
)
def test_what_is_no_sarif_is_refused(report):
    with pytest.raises(GarbledAnswerError):
        found_in_sarif(report, TARGET, "tool")


def test_what_we_write_we_can_read():
    out = io.StringIO()
    write_sarif([recorded(LINE), recorded(HOLE)], out, version="0", at=NOW)
    found = found_in_sarif(json.loads(out.getvalue()), TARGET, "other").findings
    assert [(each.rule, each.line) for each in found] == [("B602", 5), ("GHSA-462w-v97r-4m45", 0)]

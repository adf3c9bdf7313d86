"""CycloneDX of any tool: its vulnerabilities, and what proves that nobody looked."""

import io
import json
from pathlib import Path

import pytest

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.security.cyclonedx import found_in_cyclonedx
from tdev_operators.core.security.exports import write_vex
from tdev_operators.core.security.findings import Severity, identified
from tdev_operators.core.security.scanning import Target
from tdev_operators.core.security.settings import ScanReport
from tests.core.security.test_exports import HOLE, NOW, recorded

TARGET = Target("shop", "source", Path("/"))
PART = {"bom-ref": "1", "type": "library", "name": "requests", "version": "2.19.1", "purl": "pkg:pypi/Requests@2.19.1"}
HOLES = {
    "id": "CVE-2018-18074",
    "source": {"url": "https://nvd.example/CVE-2018-18074"},
    "references": [{"id": "GHSA-x84v-xcm2-53pg"}],
    "ratings": [{"score": 7.5, "severity": "high"}, {"severity": "critical"}],
    "description": "sends\ncredentials",
    "affects": [{"ref": "1"}],
}


def bill(*vulnerabilities, parts=(PART,), **more):
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "components": list(parts),
        "vulnerabilities": list(vulnerabilities),
        **more,
    }


def read(report):
    return found_in_cyclonedx(report, TARGET, "osv")


def test_a_vulnerability_is_a_finding_of_each_component_that_it_affects():
    nested = {"bom-ref": "2", "name": "inner", "version": "1", "purl": "pkg:npm/inner@1"}
    outer = {"bom-ref": "3", "name": "outer", "components": [nested]}
    first, second = read(bill({**HOLES, "affects": [{"ref": "1"}, {"ref": "2"}]}, parts=[PART, outer])).findings
    assert (first.rule, first.package, first.version, first.severity, first.cvss) == (
        *("CVE-2018-18074", "pkg:pypi/requests", "2.19.1"),
        *(Severity.CRITICAL, 7.5),
    )
    assert first.title == "sends credentials"
    assert first.aliases == ("GHSA-x84v-xcm2-53pg",)
    assert (second.package, second.version) == ("pkg:npm/inner", "1")


def test_it_is_the_same_finding_as_another_scanners():
    [found] = identified(read(bill(HOLES)).findings)
    [again] = identified(read(bill({**HOLES, "description": "told otherwise", "ratings": []})).findings)
    assert found.identity == again.identity


def test_what_the_tool_takes_for_harmless_is_told():
    found = read(bill({**HOLES, "analysis": {"state": "not_affected"}}, HOLES))
    assert len(found.findings) == 1
    assert found.remarks == ["1 finding taken for harmless by the tool, and not judged"]


def test_a_bill_without_a_list_of_vulnerabilities_proves_nothing():
    plain = bill()
    del plain["vulnerabilities"]
    assert read(plain).skipped == {"the vulnerabilities": "it has no list of them: the tool did not look"}
    assert read(bill()).skipped == {}


@pytest.mark.parametrize(
    "report",
    [
        {},
        [],
        "x",
        {"bomFormat": "SPDX"},
        bill(parts=()),
        bill("x"),
        bill({"affects": [{"ref": "1"}]}),
        bill({**HOLES, "ratings": [{"score": "high"}]}),
        bill({**HOLES, "affects": ["1"]}),
    ],
)
def test_what_is_none_is_garbled(report):
    with pytest.raises(GarbledAnswerError):
        read(report)


def test_what_we_write_we_can_read():
    out = io.StringIO()
    write_vex([recorded(HOLE)], out, version="0.1.0", at=NOW)
    written = json.loads(out.getvalue())
    [found] = read({**written, "components": [PART]}).findings
    assert found.rule == "CVE-2019-10906"


@pytest.mark.parametrize("forms", [{}, {"sarif": "s3://b/x", "cyclonedx": "s3://b/y"}])
def test_a_report_is_of_one_form(forms):
    with pytest.raises(ValueError, match="write sarif or cyclonedx"):
        ScanReport(name="osv", target="shop", days=2, **forms)

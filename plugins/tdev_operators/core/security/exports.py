"""Findings for other tools: SARIF 2.1.0 (code hosts), CSV (people), CycloneDX VEX 1.6 (whoever uses the product).

Written as they come, so that a hundred thousand need no memory.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TextIO
from urllib.parse import quote

from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.security.findings import Kind, Severity, canonical
from tdev_operators.core.security.ledger import Recorded

_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.LOW: "note"}
_SCORES = {Severity.CRITICAL: 9.5, Severity.HIGH: 8.0, Severity.MEDIUM: 5.5, Severity.UNKNOWN: 7.0, Severity.LOW: 2.0}
_COLUMNS = (
    *("severity", "kind", "rule", "target", "place", "fixed_in", "title", "scanner"),
    *("first_seen", "last_seen", "due_at", "fixed_at", "waiver", "waived_until", "identity"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(findings: Iterable[Recorded], out: TextIO, *, version: str, at: datetime) -> None:  # noqa: ARG001
    """Write a row a finding; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for one in findings:
        rows.writerow([_cell(_value(one, name)) for name in _COLUMNS])


def write_sarif(findings: Iterable[Recorded], out: TextIO, *, version: str, at: datetime) -> None:
    """Write a run with a result a finding; its identity is a partial fingerprint, a waiver in force a suppression."""
    driver = {"name": "tdev-maintenance", "version": version}
    head = {"tool": {"driver": driver}, "columnKind": "utf16CodeUnits"}
    out.write('{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [')
    out.write(json.dumps(head)[:-1] + ', "results": [')
    _write_each(findings, out, lambda one: _result(one, at))
    out.write("]}]}\n")


def write_vex(findings: Iterable[Recorded], out: TextIO, *, version: str, at: datetime) -> None:
    """Write what is to be said of each vulnerability: exploitable, being looked at, or resolved."""
    tool = {"components": [{"type": "application", "name": "tdev-maintenance", "version": version}]}
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    head |= {"metadata": {"timestamp": at.isoformat(), "tools": tool}}
    out.write(json.dumps(head)[:-1] + ', "vulnerabilities": [')
    of_packages = (one for one in findings if one.finding.kind is Kind.VULNERABILITY)
    _write_each(of_packages, out, lambda one: _statement(one, at))
    out.write("]}\n")


WRITERS: Mapping[str, Callable[..., None]] = {"csv": write_csv, "sarif": write_sarif, "vex": write_vex}


def _write_each(findings: Iterable[Recorded], out: TextIO, fields: Callable[[Recorded], dict[str, Any]]) -> None:
    for number, one in enumerate(findings):
        out.write(",\n" if number else "\n")
        out.write(json.dumps(fields(one)))


def _result(one: Recorded, at: datetime) -> dict[str, Any]:
    finding = one.finding
    region = {"region": {"startLine": finding.line}} if finding.line else {}
    place = finding.path or finding.package or finding.target
    location = {"physicalLocation": {"artifactLocation": {"uri": _uri(place)}, **region}}
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS.get(finding.severity, "warning"),
        "message": {"text": one_line(f"{finding.title} ({finding.place} in {finding.target})")},
        "locations": [location],
        "partialFingerprints": {"tdev/v1": finding.identity},
        "properties": {
            "security-severity": str(finding.cvss or _SCORES[finding.severity]),
            "target": finding.target,
            "firstSeen": one.first_seen.isoformat(),
            "due": one.due_at.isoformat(),
        },
    }
    if _is_waived(one, at):
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": one.waiver}]
    return result


def _statement(one: Recorded, at: datetime) -> dict[str, Any]:
    finding = one.finding
    name = canonical(finding.rule, finding.aliases)
    if one.fixed_at:
        analysis: dict[str, Any] = {"state": "resolved"}
    elif _is_waived(one, at):
        analysis = {"state": "exploitable", "response": ["will_not_fix"], "detail": one.waiver}
    else:
        analysis = {"state": "in_triage"}
    rating: dict[str, Any] = {"severity": finding.severity.lower()}
    if finding.cvss:
        rating |= {"score": finding.cvss, "method": "CVSSv31"}
    reference = f"{finding.package}@{finding.version}" if finding.version else finding.package
    return {
        "bom-ref": finding.identity,
        "id": name,
        "ratings": [rating],
        "description": one_line(finding.title),
        "affects": [{"ref": reference or finding.target}],
        "analysis": analysis,
        "created": one.first_seen.isoformat(),
    }


def _is_waived(one: Recorded, at: datetime) -> bool:
    return one.waived_until is not None and one.waived_until > at


def _uri(path: str) -> str:
    """Return a path as a relative URI reference."""
    return quote(path, safe="/@:+~.")


def _value(one: Recorded, name: str) -> str:
    value = getattr(one, name, None) if name in Recorded.__dataclass_fields__ else getattr(one.finding, name)
    return value.isoformat() if isinstance(value, datetime) else "" if value is None else str(value)


def _cell(text: str) -> str:
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line

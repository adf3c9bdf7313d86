"""The same finding is known again; two of them are never one."""

from dataclasses import replace

import pytest

from tdev_operators.core.security.findings import (
    Finding,
    Kind,
    Severity,
    canonical,
    former_identities,
    identified,
    python_package,
    severity_of,
    without_version,
)

HOLE = Finding(
    Kind.VULNERABILITY,
    rule="CVE-2018-18074",
    title="leak",
    severity=Severity.HIGH,
    target="image",
    scanner="trivy_image",
    package="pkg:pypi/requests",
    version="2.19.0",
    path="Python",
)
LINE = Finding(
    Kind.CODE,
    rule="B602",
    title="shell",
    severity=Severity.HIGH,
    target="source",
    scanner="bandit",
    path="app/main.py",
    line=3,
    text="subprocess.call(x, shell=True)",
)


def identities(*findings):
    return {one.identity for one in identified(findings)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LINE, replace(LINE, line=99)),
        (LINE, replace(LINE, path="app/renamed.py")),
        (LINE, replace(LINE, text="  subprocess.call(x,\n    shell=True)")),
        (HOLE, replace(HOLE, version="2.19.1")),
        (HOLE, replace(HOLE, path="usr/lib/python3/elsewhere")),
        (HOLE, replace(HOLE, scanner="pip_audit", rule="PYSEC-2018-28", aliases=("CVE-2018-18074",))),
        (HOLE, replace(HOLE, severity=Severity.LOW, title="said otherwise")),
    ],
)
def test_what_does_not_change_the_matter_does_not_change_the_identity(before, after):
    assert identities(before) == identities(after)


@pytest.mark.parametrize(
    "other",
    [
        replace(LINE, rule="B404"),
        replace(LINE, text="subprocess.call(y, shell=True)"),
        replace(LINE, target="other source"),
        replace(LINE, kind=Kind.SECRET),
    ],
)
def test_another_matter_has_another_identity(other):
    assert len(identities(LINE, other)) == 2


def test_two_equal_lines_are_two_and_one_less_is_one_less():
    two = [LINE, replace(LINE, line=9), replace(LINE, path="app/other.py")]
    assert len(identities(*two)) == 3
    moved = [replace(one, path=f"new/{one.path}", line=one.line + 40) for one in two]
    assert identities(*moved) == identities(*two), "moved and renamed, all at once"
    assert identities(*two[:2]) < identities(*two), "nothing new when one goes"


def test_what_is_said_twice_of_one_line_is_found_once():
    assert len(identified([LINE, LINE])) == 1
    both = identified([LINE, replace(LINE, scanner="ruff")])
    assert [one.scanner for one in both] == ["bandit, ruff"]


def test_two_scanners_words_for_one_hole_are_one_finding_with_the_worse_and_what_is_known():
    pip_audit = replace(
        HOLE, scanner="pip_audit", rule="PYSEC-2018-28", aliases=("CVE-2018-18074",), severity=Severity.UNKNOWN
    )
    [merged] = identified([replace(HOLE, severity=Severity.MEDIUM, cvss=5.0), replace(pip_audit, fixed_in="2.20.0")])
    assert (merged.severity, merged.fixed_in, merged.cvss) == (Severity.MEDIUM, "2.20.0", 5.0)
    assert merged.scanner == "pip_audit, trivy_image"
    assert {merged.rule, *merged.aliases} == {"CVE-2018-18074", "PYSEC-2018-28"}
    [worst] = identified([replace(HOLE, severity=Severity.LOW), replace(HOLE, severity=Severity.CRITICAL, scanner="x")])
    assert worst.severity is Severity.CRITICAL


def test_a_finding_survives_json():
    [one] = identified([replace(HOLE, aliases=("GHSA-x",), cvss=7.5)])
    assert Finding.from_json(one.to_json()) == one


def test_a_scanner_cannot_fill_the_memory_with_one_text():
    assert len(replace(LINE, title="x" * 10**6).title) == 2_000
    assert len(replace(LINE, text="x" * 10**6).text) < 100, "of a line only a digest is kept"


@pytest.mark.parametrize(
    ("word", "cvss", "severity"),
    [
        ("CRITICAL", None, Severity.CRITICAL),
        ("Moderate", None, Severity.MEDIUM),
        ("error", None, Severity.HIGH),
        ("negligible", 9.9, Severity.LOW),
        ("", 9.0, Severity.CRITICAL),
        (None, 8.9, Severity.HIGH),
        ("odd", 4.0, Severity.MEDIUM),
        ("odd", 0.1, Severity.LOW),
        ("odd", 0.0, Severity.UNKNOWN),
        (None, None, Severity.UNKNOWN),
    ],
)
def test_severities_of_all_scanners_are_one_scale(word, cvss, severity):
    assert severity_of(word, cvss) is severity


def test_an_unknown_severity_is_not_taken_for_a_low_one():
    assert Severity.HIGH.rank < Severity.UNKNOWN.rank < Severity.MEDIUM.rank


@pytest.mark.parametrize(
    ("purl", "package"),
    [
        ("pkg:pypi/Jinja2@2.10", "pkg:pypi/jinja2"),
        ("pkg:deb/debian/openssl@3.0.11-1?arch=amd64&distro=debian-12", "pkg:deb/debian/openssl"),
        ("pkg:npm/%40scope/name@1.0.0", "pkg:npm/%40scope/name"),
        ("pkg:npm/@scope/name", "pkg:npm/@scope/name"),
        ("pkg:golang/github.com/x/y@v1.2.3#cmd", "pkg:golang/github.com/x/y"),
    ],
)
def test_a_package_is_named_without_its_version(purl, package):
    assert without_version(purl) == package


def test_python_packages_are_named_as_pypi_compares_them():
    assert (
        python_package("Zope.Interface_x")
        == without_version("pkg:pypi/zope.interface_x@5")
        == "pkg:pypi/zope-interface-x"
    )


def test_a_vulnerability_is_known_by_its_cve():
    assert canonical("PYSEC-2018-28", ["GHSA-x84v", "cve-2018-18074"]) == "CVE-2018-18074"
    assert canonical("PYSEC-1", ["GHSA-x84v"]) == canonical("GHSA-x84v", ["PYSEC-1"]) == "GHSA-x84v"
    assert canonical("B", ["A"]) == canonical("A", ["B"])


def vulnerability(rule, *aliases, scanner="one", package="pkg:pypi/shop"):
    return Finding(Kind.VULNERABILITY, rule, "x", Severity.HIGH, "t", scanner, package, aliases=aliases)


def test_names_that_are_shared_over_corners_make_one_finding():
    found = [
        vulnerability("GHSA-a", scanner="one"),
        vulnerability("PYSEC-1", "GHSA-a", scanner="two"),
        vulnerability("CVE-2026-0001", "PYSEC-1", scanner="three"),
        vulnerability("GHSA-a", scanner="four", package="pkg:pypi/other"),
    ]
    for order in (found, found[::-1]):
        made = identified(order)
        assert len(made) == 2
        one = next(each for each in made if each.package == "pkg:pypi/shop")
        assert one.scanner == "one, three, two"
        assert {one.rule, *one.aliases} == {"GHSA-a", "PYSEC-1", "CVE-2026-0001"}
        assert one.identity == identified([vulnerability("CVE-2026-0001")])[0].identity


def test_a_vulnerability_knows_what_it_was_before_its_cve():
    [now] = identified([vulnerability("GHSA-a", "CVE-2026-0001")])
    assert former_identities(now) == (identified([vulnerability("GHSA-a")])[0].identity,)
    assert former_identities(identified([vulnerability("CVE-2026-0001")])[0]) == ()
    assert former_identities(identified([replace(now, kind=Kind.CODE)])[0]) == ()

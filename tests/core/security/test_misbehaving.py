"""Programs that hang, crash, or write what no scanner should: UNKNOWN in bounded time and memory, never green."""

import json
import resource
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tdev_operators.core.security.scanners import all_scanners
from tdev_operators.core.security.scanning import Limits
from tdev_operators.core.verdicts import Verdict
from tests.core.security.conftest import SOURCE

PROGRAMS = {
    "bandit": "bandit",
    "dependency_check": "dependency-check",
    "pip_audit": "pip-audit",
    "safety": "safety",
    "trivy_source": "trivy",
    "trivy_image": "trivy",
}
# `version` is asked first, by a flag or by a word; the report goes where it is told to.
FAKE = """
import json, os, signal, sys, time
NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
if "--version" in sys.argv or "version" in sys.argv:
    print(json.dumps({{"Version": "0.76.0", "VulnerabilityDB": {{"UpdatedAt": NOW}}}}))
    sys.exit()
flags = ("--output", "--out", "--save-json")
report = next(sys.argv[at + 1] for at, word in enumerate(sys.argv) if word in flags)
def write(body):
    open(report, "wb").write(body)
{misbehaviour}
"""
MISBEHAVIOURS = {
    "hangs": ("time.sleep(600)", "did not end within 3 s"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "ended with -9"),
    "crashes": ("sys.exit('Traceback: <b>oh</b>')", ""),
    "ends badly": ("write(b'{}'); sys.exit(99)", "ended with 99"),
    "writes nothing": ("pass", ""),
    "writes garbage": ("write(b'no json')", "is no JSON"),
    "is cut off": ("""write(b'{"Results": [{"Target": "a", ')""", "is no JSON"),
    "writes no UTF-8": ("write(bytes(range(256)))", "is no JSON"),
    "nests without end": ("write(b'[' * 10**6)", "is no JSON"),
    "writes 300 MB": ("write(b'{}'); os.truncate(report, 300 * 2**20)", "MiB, more than security.report_mb"),
    "says 300 MB": ("[sys.stdout.write('x' * 2**20) for _ in range(300)]; write(b'{}')", ""),
    "writes an empty object": ("write(b'{}')", ""),
    "writes a list": ("write(b'[]')", ""),
    "writes a word": ("""write(b'"clean"')""", ""),
    "has another shape": (
        """write(b'{"SchemaVersion": 2, "Results": [{"Vulnerabilities": 5}], "metrics": 5, "errors": 5, "results": 5,'
        b'"dependencies": 5, "scanInfo": 5, "scanned_packages": 5, "vulnerabilities": 5}')""",
        "unknown shape",
    ),
}


QUICK = Limits(timeout_seconds=3, report_mb=8, data_days=7)


@pytest.fixture
def weak(ward):
    """A ward whose scanners have a key."""
    return replace(ward, environment={"SAFETY_API_KEY": "k"})


def test_every_scanner_is_here():
    assert set(PROGRAMS) == {one.name for one in all_scanners()}
    assert all(one.about and one.install and one.canary for one in all_scanners())


@pytest.mark.seeded(30)
@pytest.mark.parametrize("scanner", PROGRAMS)
@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_a_program_that_misbehaves_is_not_green(weak, scanner, how):
    misbehaviour, sentence = MISBEHAVIOURS[how]
    weak.program(PROGRAMS[scanner], FAKE.format(misbehaviour=misbehaviour))
    if how == "hangs":
        weak = replace(weak, limits=QUICK)
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scan = weak.scan(scanner)
    assert scan.result.verdict is Verdict.UNKNOWN, scan.result
    assert not scan.complete
    assert "defect of ours" not in scan.result.summary, scan.result.summary
    assert sentence in scan.result.summary or "no target was looked at" in scan.result.summary, scan.result.summary
    assert time.monotonic() - started < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "KiB"


@pytest.mark.parametrize("scanner", PROGRAMS)
def test_a_program_that_is_not_there_is_told_with_how_to_get_it(weak, scanner):
    weak.environment["PATH"] = str(weak.home)
    [known] = [one for one in all_scanners() if one.name == scanner]
    result = weak.scan(scanner).result
    assert result.verdict is Verdict.UNKNOWN
    assert known.install in result.summary


def test_trivy_that_has_no_version_is_not_believed(weak):
    weak.program("trivy", "print('trivy of tomorrow')")
    assert "does not say its version" in weak.scan("trivy_source").result.summary


def test_safety_without_its_key_says_who_looks_instead(ward):
    result = ward.scan("safety").result
    assert result.verdict is Verdict.UNKNOWN
    assert "pip-audit asks about the same packages" in result.summary


AUDITED = {
    "dependencies": [
        {
            "name": "Jinja2",
            "version": "2.10",
            "vulns": [
                {
                    "id": "PYSEC-2019-217",
                    "fix_versions": ["2.10.1"],
                    "aliases": ["CVE-2019-10906", "GHSA-462w-v97r-4m45"],
                    "description": "In Pallets Jinja before 2.10.1, str.format_map allows a sandbox escape.",
                }
            ],
        },
        {"name": "click", "version": "8.1.7", "vulns": []},
    ],
    "fixes": [],
}
SAFE = {
    "report_meta": {"scan_target": "file", "packages_found": 1, "safety_version": "2.3.5", "json_version": 1},
    "scanned_packages": {"jinja2": {"name": "jinja2", "version": "2.10"}},
    "affected_packages": {"jinja2": {"name": "jinja2", "version": "2.10", "found": None}},
    "vulnerabilities": [
        {
            "vulnerability_id": "37002",
            "package_name": "jinja2",
            "ignored": False,
            "vulnerable_spec": "<2.10.1",
            "analyzed_version": "2.10",
            "advisory": "Jinja2 2.10.1 includes a security fix.",
            "fixed_versions": ["2.10.1"],
            "CVE": "CVE-2019-10906",
            "severity": {"source": "CVE-2019-10906", "cvssv3": {"base_score": 8.6, "base_severity": "HIGH"}},
            "more_info_url": "https://data.safetycli.com/v/37002/97c",
        }
    ],
    "ignored_vulnerabilities": [],
}
WRITE = "write(json.dumps({}).encode())"


def test_what_pip_audit_and_safety_say_of_a_package_is_one_finding_with_trivys(weak):
    from tdev_operators.core.security.findings import identified

    weak = replace(weak, files={"requirements.txt": "jinja2==2.10\n"})
    weak.program("pip-audit", FAKE.format(misbehaviour=f"{WRITE.format(repr(AUDITED))}; sys.exit(1)"))
    weak.program("safety", FAKE.format(misbehaviour=f"{WRITE.format(repr(SAFE))}; sys.exit(64)"))
    scans = [weak.scan(name) for name in ("pip_audit", "safety", "trivy_source")]
    assert [scan.result.verdict for scan in scans] == [Verdict.OK] * 3, [scan.result for scan in scans]
    [one] = identified([finding for scan in scans for finding in scan.findings])
    assert one.scanner == "pip_audit, safety, trivy_source"
    assert (one.package, one.severity, one.fixed_in) == ("pkg:pypi/jinja2", "HIGH", "2.10.1")


def test_a_package_that_pip_audit_skips_is_not_green(weak):
    skipped = {"name": "click", "skip_reason": "Dependency not found on PyPI and could not be audited: click (8.1.7)"}
    report = {**AUDITED, "dependencies": [AUDITED["dependencies"][0], skipped]}
    weak.program("pip-audit", FAKE.format(misbehaviour=WRITE.format(repr(report))))
    result = weak.scan("pip_audit").result
    assert result.verdict is Verdict.UNKNOWN
    assert "could not be audited" in result.coverage.skipped["click in target/requirements.txt"]


CHECKED = """
root = sys.argv[sys.argv.index("--scan") + 1].removesuffix("/target")
def library(path, cve):
    return {{"isVirtual": True, "fileName": "minimist:0.0.8", "filePath": root + path + "?minimist:0.0.8",
        "packages": [{{"id": "pkg:npm/minimist@0.0.8", "confidence": "HIGHEST"}}],
        "vulnerabilities": [{{"source": "NVD", "name": cve, "severity": "MEDIUM", "description": "pollution",
            "cvssv3": {{"baseScore": 5.6, "attackVector": "NETWORK", "baseSeverity": "MEDIUM"}}}}]}}
checked = time.strftime("%Y-%m-%dT%H:%M:%S+00", time.gmtime(time.time() - {age}))
write(json.dumps({{"reportSchema": "1.1",
    "scanInfo": {{"engineVersion": "12.2.0", {more}
        "dataSource": [{{"name": "NVD API Last Checked", "timestamp": checked}}]}},
    "projectInfo": {{"name": "shop", "reportDate": checked}},
    "dependencies": [library("/target/package-lock.json", "CVE-2020-7598"),
        library("/tdev-canary/package-lock.json", "{canary}")]}}).encode())
"""


def checked(weak, *, age=0, more="", canary="CVE-2020-7598"):
    weak.program("dependency-check", FAKE.format(misbehaviour=CHECKED.format(age=age, more=more, canary=canary)))
    return weak.scan("dependency_check")


def test_dependency_checks_report_is_read(weak):
    scan = checked(weak)
    assert scan.result.verdict is Verdict.OK, scan.result
    [one] = scan.findings
    assert (one.rule, one.package, one.version, one.path, one.cvss) == (
        *("CVE-2020-7598", "pkg:npm/minimist"),
        *("0.0.8", "package-lock.json", 5.6),
    )


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"age": 8 * 86400}, "older than security.data_days"),
        ({"canary": "CVE-1999-0001"}, "the planted canary was not found"),
        ({"more": '"analysisExceptions": [{"exception": {"message": "NVD: 403"}}],'}, "an analyser broke off"),
    ],
)
def test_dependency_check_with_old_or_broken_data_is_not_green(weak, how, sentence):
    result = checked(weak, **how).result
    assert result.verdict is Verdict.UNKNOWN
    assert sentence in result.summary + str(result.coverage.skipped)


def test_a_strangers_text_reaches_nobody_as_it_is(ward):
    name = "a\n<script>alert(1)</script>\x1b[31m.py"
    scan = replace(ward, files={**SOURCE, name.replace("/", "_"): "def x(:\n"}).scan("bandit")
    told = json.dumps(scan.result.to_json())
    assert scan.result.verdict is Verdict.UNKNOWN
    assert "\\u001b" not in told
    assert not any("\n" in target for target in scan.result.coverage.skipped)


def test_nothing_is_left_behind(weak):
    weak.program(
        "bandit",
        FAKE.format(
            misbehaviour="""
import subprocess
child = subprocess.Popen(["sleep", "600"])
open(os.path.join(os.path.dirname(report), "pid"), "w").write(str(child.pid))
time.sleep(600)
"""
        ),
    )
    replace(weak, limits=QUICK).scan("bandit")
    [pid] = [int(file.read_text()) for file in weak.home.glob("ground-*/pid")]
    deadline = time.monotonic() + 10
    while runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(pid):
    """Whether it does anything; who has died and is mourned by nobody yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

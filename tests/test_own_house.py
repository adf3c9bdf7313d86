"""Our own house: this repository, scanned by the product itself. Above low nothing stands without a waiver."""

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.vulnerability_database import write_database
from tdev_operators.core.security.findings import Severity
from tdev_operators.core.security.scanners import all_scanners
from tdev_operators.core.security.scanning import TARGET, Ground, Limits, Target, plant, scan
from tdev_operators.core.security.waivers import read_waivers, waiver_of
from tdev_operators.core.verdicts import Verdict

REPOSITORY = Path(__file__).resolve().parents[1]
NOW = datetime.now(UTC)
EXPORT = ("export", "-q", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes")


@pytest.fixture
def scanned(tmp_path):
    """Scan what is committed, or what would be, by a scanner's name."""

    def go(name, files=None):
        root, folder, cache = tmp_path / "root", tmp_path / "work", tmp_path / "cache"
        for path in (root, folder, root / TARGET):
            path.mkdir()
        for file in _committed() if files is None else ():
            (root / TARGET / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / file, root / TARGET / file)
        for file, text in (files or {}).items():
            (root / TARGET / file).write_text(text, encoding="utf-8")
        write_database(cache)
        [scanner] = [one for one in all_scanners() if one.name == name]
        plant(root, [scanner])
        target = Target("this repository", "source", root, "HEAD")
        return scan(scanner, target, Ground(folder, cache, Limits(300, 64, 7)), NOW)

    return go


def _committed():
    """Return the files of the repository; of a copy without its history all that is not made by the commands."""
    listed = subprocess.run(["git", "-C", str(REPOSITORY), "ls-files", "-z"], capture_output=True, check=False)
    names = filter(None, listed.stdout.decode().split("\0"))
    if listed.returncode != 0:
        names = (str(path.relative_to(REPOSITORY)) for path in REPOSITORY.rglob("*"))
        names = (name for name in names if not re.match(r"\.(?!ci/|pre-commit)|dist/|.*__pycache__", name))
    return [name for name in names if (REPOSITORY / name).is_file()]


def unanswered(findings, waivers):
    return [
        f"{one.severity} {one.rule} {one.path}:{one.line} {one.title}"
        for one in findings
        if one.severity is not Severity.LOW and ((waiver := waiver_of(one, waivers)) is None or waiver.until <= NOW)
    ]


@pytest.mark.timeout(400)
def test_nothing_above_low_stands_without_a_waiver_and_no_waiver_is_left_over(scanned, tmp_path):
    waivers = read_waivers(REPOSITORY / ".ci" / "waivers.toml", NOW)
    findings = []
    for name in ("bandit", "trivy_source"):
        found = scanned(name)
        assert found.result.verdict is Verdict.OK, found.result
        findings += found.findings
        for path in ("root", "work", "cache"):
            shutil.rmtree(tmp_path / path)
    assert unanswered(findings, waivers) == []
    serious = [one for one in findings if one.severity is not Severity.LOW]
    assert [one.told for one in waivers if not any(one.fits(finding) for finding in serious)] == []


def test_what_somebody_adds_is_seen(scanned):
    found = scanned("bandit", {"odd.py": "import subprocess\n\nsubprocess.call(input(), shell=True)\n"})
    waivers = read_waivers(REPOSITORY / ".ci" / "waivers.toml", NOW)
    assert [line.split()[1] for line in unanswered(found.findings, waivers)] == ["B602"]


def test_what_is_locked_has_no_known_hole_where_the_advisories_can_be_reached(scanned):
    uv = REPOSITORY / ".tools" / "uv"
    program = str(uv) if uv.exists() else shutil.which("uv")
    if program is None:
        pytest.skip("NOT RUN: there is no uv; `make .venv/ready`")
    exported = subprocess.run(
        [
            program,
            "export",
            "-q",
            "--frozen",
            "--no-dev",
            "--no-emit-project",
            "--no-hashes",
            "--python",
            sys.executable,
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [
        line.partition(";")[0].strip() for line in exported.splitlines() if line and not line.startswith((" ", "#"))
    ]
    found = scanned("pip_audit", {"requirements.txt": "\n".join(lines) + "\n"})
    if found.result.verdict is Verdict.UNKNOWN and "HTTPSConnectionPool" in found.result.summary:
        pytest.skip("NOT RUN: PyPI's advisories cannot be reached from here")
    waivers = read_waivers(REPOSITORY / ".ci" / "waivers.toml", NOW)
    assert unanswered(found.findings, waivers) == []
    assert found.result.verdict is Verdict.OK, found.result

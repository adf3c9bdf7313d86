"""Files that did not change are not read again, and nothing is falsely green for it."""

from dataclasses import replace

import pytest

from tdev_operators.core.security.known_files import KnownFiles, in_parts
from tdev_operators.core.security.scanning import Ground
from tdev_operators.core.verdicts import Verdict

WEAK = "import subprocess\nsubprocess.call(input(), shell=True)\npassword = 'hunter2hunter2'\n"
FILES = {"a.py": WEAK, "b/c.py": "import os\n", "b/d.py": "x = 1  # nosec\nassert x\n"}


@pytest.fixture
def ward(ward, tmp_path):
    """A ward whose cache is its own."""
    return replace(ward, files=FILES, cache=tmp_path / "cache")


def rules(scan):
    return sorted((one.path, one.rule, one.line) for one in scan.findings)


def remarks(scan):
    return [line for line in scan.result.details if "not read again" in line]


def test_what_did_not_change_is_told_again_and_what_did_is_read(ward):
    first = ward.scan("bandit")
    again = ward.scan("bandit")
    assert remarks(first) == []
    assert remarks(again) == ["3 files did not change and were not read again"]
    assert rules(again) == rules(first)
    assert {one.text for one in again.findings} == {one.text for one in first.findings}
    assert again.result.coverage == first.result.coverage
    assert again.result.measurements == first.result.measurements
    changed = replace(ward, files={**FILES, "b/c.py": WEAK}).scan("bandit")
    assert remarks(changed) == ["2 files did not change and were not read again"]
    assert [one for one in rules(changed) if one[0] == "b/c.py"] == [
        ("b/c.py", *one[1:]) for one in rules(first) if one[0] == "a.py"
    ]
    gone = replace(ward, files={"b/c.py": "import os\n"}).scan("bandit")
    assert rules(gone) == []
    assert remarks(gone) == [], "what it had said of this content was forgotten with the last scan"


def test_nothing_that_was_found_is_kept_in_clear(ward):
    ward.scan("bandit")
    [kept] = ward.cache.rglob("*.json")
    assert "B602" in kept.read_text()
    assert "hunter2" not in kept.read_text()


@pytest.mark.parametrize("damage", ["{", "[]", '{"tool": 1}', ""])
def test_a_damaged_memory_is_none(ward, damage):
    first = ward.scan("bandit")
    [kept] = ward.cache.rglob("*.json")
    kept.write_text(damage)
    assert remarks(again := ward.scan("bandit")) == []
    assert rules(again) == rules(first)


def test_a_memory_that_was_changed_is_none(ward):
    first = ward.scan("bandit")
    [kept] = ward.cache.rglob("*.json")
    kept.write_text(kept.read_text().replace("B602", "B101"))
    assert rules(ward.scan("bandit")) == rules(first)


def test_another_version_and_a_scan_anew_read_everything(ward):
    first = ward.scan("bandit")
    [kept] = ward.cache.rglob("*.json")
    kept.write_text(kept.read_text().replace(first.result.coverage.tool, "bandit 0.1"))
    assert remarks(ward.scan("bandit")) == []
    ground = Ground(ward.home, ward.cache, ward.limits, anew=True)
    from tdev_operators.core.security.scanners import bandit

    bandit.learn(ground)
    assert not any("not read again" in line for line in bandit.work(ward.target(), ground).remarks)


def test_a_file_that_could_not_be_read_is_tried_again(ward):
    broken = replace(ward, files={**FILES, "broken.py": "def x(:\n"})
    assert broken.scan("bandit").result.verdict is Verdict.UNKNOWN
    second = broken.scan("bandit")
    assert second.result.verdict is Verdict.UNKNOWN
    assert "target/broken.py" in second.result.coverage.skipped


def test_the_canary_is_asked_for_also_when_nothing_changed(ward):
    ward.scan("bandit")
    ward.program("bandit", _BLIND)
    scan = ward.scan("bandit")
    assert scan.result.verdict is Verdict.UNKNOWN
    assert not scan.result.coverage.canary_found


# As the real one, but for what it finds.
_BLIND = """
import json, subprocess, sys, os
real = os.path.join(os.path.dirname(sys.executable), "bandit")
done = subprocess.run([real, *sys.argv[1:]])
if "--output" in sys.argv:
    name = sys.argv[sys.argv.index("--output") + 1]
    report = json.load(open(name))
    report["results"] = []
    json.dump(report, open(name, "w"))
sys.exit(done.returncode)
"""


def test_a_canary_must_be_found_in_each_part(ward, monkeypatch):
    monkeypatch.setattr("tdev_operators.core.security.scanners.bandit._FEWEST_FILES", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert ward.scan("bandit").result.coverage.canary_found
    ward.program("bandit", _BLIND.replace('if "--output" in sys.argv:', 'if "bandit-1.json" in " ".join(sys.argv):'))
    assert not replace(ward, cache=ward.home / "other").scan("bandit").result.coverage.canary_found


def test_parts_are_alike_and_bounded(tmp_path):
    for number in range(100):
        (tmp_path / f"{number}.py").write_bytes(b"x" * number)
    paths = sorted(tmp_path.iterdir())
    parts = in_parts(paths, at_once=4, at_most=1000, least=10)
    assert sorted(path for part in parts for path in part) == paths
    assert [len(part) for part in parts] == [25] * 4
    sizes = [sum(path.stat().st_size for path in part) for part in parts]
    assert max(sizes) - min(sizes) < 100
    assert len(in_parts(paths, at_once=4, at_most=1000, least=60)) == 1
    assert max(map(len, in_parts(paths, at_once=1, at_most=7, least=10))) <= 7
    assert in_parts([], at_once=4, at_most=10, least=1) == []


def test_a_memory_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "known-files").write_text("")
    known = KnownFiles(tmp_path, "x", "target", "x 1")
    known.keep({"a": 1})
    assert KnownFiles(tmp_path, "x", "target", "x 1").get("a") is None

"""The scanner of docs/add-a-scanner.md, put into its folder as a new user would: it works, and needs its proof."""

import re
import sys
from pathlib import Path

import pytest

from tdev_operators.core.security import scanners
from tdev_operators.core.verdicts import Verdict

PAGE = Path(__file__).resolve().parents[3] / "docs" / "add-a-scanner.md"

# What semgrep 1.185.0 wrote about these two files, cut to what counts; `{found}` are the folders that it looked at.
SEMGREP = """
import json, sys
from pathlib import Path
if "--version" in sys.argv:
    print("1.185.0")
    sys.exit(0)
results = []
name = f"tmp.{Path(sys.argv[sys.argv.index('--config') + 1]).parent.name}.yaml-load"
for folder in sys.argv[-2:][:LOOKS]:
    for file in sorted(Path(folder).rglob("*.py")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if "yaml.load(" in line:
                place = {"artifactLocation": {"uri": str(file), "uriBaseId": "%SRCROOT%"}}
                region = {"startLine": number, "startColumn": 1, "snippet": {"text": line}}
                results.append({
                    "ruleId": name,
                    "message": {"text": "yaml.load builds any object; use yaml.safe_load"},
                    "locations": [{"physicalLocation": {**place, "region": region}}],
                    "fingerprints": {"matchBasedId/v1": "requires login"},
                    "properties": {},
                })
driver = {"name": "Semgrep OSS", "semanticVersion": "1.185.0", "rules": [
    {"id": name, "defaultConfiguration": {"level": "error"}, "properties": {}}]}
done = [{"executionSuccessful": True, "toolExecutionNotifications": []}]
report = {"version": "2.1.0", "runs": [{"invocations": done, "results": results, "tool": {"driver": driver}}]}
Path(sys.argv[sys.argv.index("--output") + 1]).write_text(json.dumps(report))
"""


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Put the page's file beside the scanners that there are."""
    [module] = re.findall(r'```python\n(""".*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "semgrep.py").write_text(module, encoding="utf-8")
    monkeypatch.setattr(scanners, "__path__", [*scanners.__path__, str(tmp_path / "more")])
    scanners.all_scanners.cache_clear()
    yield
    scanners.all_scanners.cache_clear()
    sys.modules.pop(f"{scanners.__name__}.semgrep", None)


@pytest.fixture
def semgrep(ward):
    ward.files = {"app/main.py": "import yaml\n\nyaml.load(open('x'))\n"}

    def looks_at(folders):
        ward.program("semgrep", SEMGREP.replace("LOOKS", str(folders)))
        ward.environment["PATH"] = f"{ward.home / 'bin'}:/usr/bin:/bin"
        return ward.scan("semgrep")

    return looks_at


def test_it_is_registered_and_finds_what_stands_there(added, semgrep):
    assert "semgrep" in {one.name for one in scanners.all_scanners()}
    scan = semgrep(folders=2)
    assert scan.result.verdict is Verdict.OK, scan.result
    assert [(one.rule, one.path, one.line, one.severity) for one in scan.findings] == [
        ("yaml-load", "app/main.py", 3, "HIGH")
    ]
    assert scan.result.coverage.tool == "semgrep 1.185.0"
    assert scan.result.coverage.canary_found


def test_one_that_leaves_the_canary_out_is_not_believed(added, semgrep):
    scan = semgrep(folders=1)
    assert scan.result.verdict is Verdict.UNKNOWN
    assert "canary" in scan.result.summary


def test_one_that_is_not_there_says_how_it_comes(added, ward):
    ward.files = {"a.py": "pass\n"}
    ward.environment["PATH"] = "/nowhere"
    scan = ward.scan("semgrep")
    assert scan.result.verdict is Verdict.UNKNOWN
    assert "pip install semgrep" in scan.result.summary

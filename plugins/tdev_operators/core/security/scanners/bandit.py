"""Weak lines of Python code, by bandit."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.findings import Finding, Found, Kind, severity_of
from tdev_operators.core.security.known_files import KnownFiles, in_parts
from tdev_operators.core.security.scanning import Ground, Target, complaint, version_of

SCANS = ("source",)
INSTALL = "pip install bandit"
CANARY = {"planted.py": ("import subprocess\n\nsubprocess.call(input(), shell=True)\n", ("B602",))}
_QUOTED = re.compile(r"'.*'", re.DOTALL)
_FOUND = 1  # also the status of a crash: only the report tells
_BROKE_OFF = "internal error running"  # of one test on one line; bandit goes on
_MOST_FILES, _FEWEST_FILES = 1_000, 60  # of one process: arguments have a limit; its start costs as much as 30 files
_PASSWORDS = ("B105", "B106", "B107")  # their text quotes what they found


def learn(ground: Ground) -> None:
    """Ask bandit for its version."""
    ground.tool = version_of(ground.run(["bandit", "--version"], install=INSTALL), "bandit")


@dataclass(frozen=True, slots=True)
class _Part:
    """What one process said of files by name (`why` it did not read one, findings, hushed lines), and of canaries."""

    said: dict[str, dict[str, Any]]
    planted: list[Finding]
    broke_off: bool


def work(target: Target, ground: Ground) -> Found:
    """Scan the tree, parts of it at once with the canary beside each; bandit must have read every Python file.

    A file of which the same bandit has spoken before is not read again, unless everything is wanted anew.
    """
    (ground.folder / "bandit.ini").touch()  # a .bandit in the tree could leave files and tests out
    files = {str(path.relative_to(target.root)): path for path in target.path.rglob("*.py") if path.is_file()}
    keys = {name: KnownFiles.key(name, path) for name, path in files.items()}
    known = KnownFiles(ground.cache, "bandit", target.name, ground.tool)
    said = {} if ground.anew else {name: told for name, key in keys.items() if (told := known.get(key)) is not None}
    wanted = [path for name, path in files.items() if name not in said]
    shares = in_parts(wanted, at_once=os.cpu_count() or 1, at_most=_MOST_FILES, least=_FEWEST_FILES) or [[]]
    with ThreadPoolExecutor(len(shares), thread_name_prefix="bandit") as pool:
        parts = list(pool.map(lambda share: _part(target, ground, *share), enumerate(shares)))
    found = Found()
    if said:
        found.remarks.append(f"{counted(len(said), 'file')} did not change and were not read again")
    for part in parts:
        said |= part.said
    # A canary counts as found when each part has found it.
    seen_by_all = set.intersection(*({(one.path, one.rule) for one in part.planted} for part in parts))
    found.findings = [one for one in parts[0].planted if (one.path, one.rule) in seen_by_all]
    if any(part.broke_off for part in parts):
        found.skipped["some lines"] = "bandit broke off there, or said more than was read"
    else:
        known.keep({keys[name]: told for name, told in said.items() if not told["why"]})
    for name in sorted(files):
        if why := said[name]["why"]:
            found.skipped[name] = one_line(why)
        else:
            found.seen.append(name)
            found.findings += [Finding.from_json(one) for one in said[name]["findings"]]
    if hushed := sum(told["hushed"] for told in said.values()):
        found.remarks.append(f"{counted(hushed, 'line')} say # nosec and were not judged")
    return found


def _part(target: Target, ground: Ground, number: int, paths: list[Path]) -> _Part:
    name = f"bandit-{number}.json"
    output = ground.run(
        [
            *("bandit", "--recursive", "--format", "json", "--output", str(ground.folder / name), "--quiet"),
            *("--ini", str(ground.folder / "bandit.ini"), "--exclude", "", str(target.canary), *map(str, paths)),
        ],
        install=INSTALL,
    )
    if output.exit_status not in (0, _FOUND):
        raise CommandFailedError(f"bandit ended with {output.exit_status}: {complaint(output)}")
    report = ground.report(name)
    try:
        metrics = {str(Path(file)): told for file, told in report["metrics"].items()}
        unread = {str(Path(one["filename"])): str(one["reason"]) for one in report["errors"]}
        said: dict[str, dict[str, Any]] = {
            str(path.relative_to(target.root)): {
                "why": unread.get(str(path)) or ("" if str(path) in metrics else "bandit did not read it"),
                "hushed": sum(metrics[str(path)][key] for key in ("nosec", "skipped_tests"))
                if str(path) in metrics
                else 0,
                "findings": [],
            }
            for path in paths
        }
        planted = []
        for one in report["results"]:
            finding = _finding(one, target)
            if finding.path in said:
                said[finding.path]["findings"].append(finding.to_json())
            else:
                planted.append(finding)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError(f"bandit's report has an unknown shape ({type(error).__name__}).") from None
    return _Part(said, planted, output.truncated or _BROKE_OFF in output.stderr)


def _finding(one: dict[str, object], target: Target) -> Finding:
    path = Path(str(one["filename"]))
    return Finding(
        Kind.CODE,
        rule=str(one["test_id"]),
        title=_QUOTED.sub("'***'", str(one["issue_text"])) if one["test_id"] in _PASSWORDS else str(one["issue_text"]),
        severity=severity_of(one["issue_severity"]),
        target=target.name,
        scanner="bandit",
        path=str(path.relative_to(target.root)),
        line=int(str(one["line_number"])),
        text=_flagged(one),
        url=str(one.get("more_info", "")),
    )


def _flagged(one: dict[str, object]) -> str:
    """Return the lines that are meant, without their numbers."""
    lines = dict(line.partition(" ")[::2] for line in str(one["code"]).splitlines())
    meant = one["line_range"]
    if not isinstance(meant, list):
        raise TypeError("line_range")
    return "\n".join(lines.get(str(number), "").strip() for number in meant).strip()

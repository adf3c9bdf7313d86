"""Weak lines of Python code, by bandit."""

import re
from pathlib import Path

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.findings import Finding, Found, Kind, severity_of
from tdev_operators.core.security.scanning import Ground, Target, complaint, version_of

SCANS = ("source",)
INSTALL = "pip install bandit"
CANARY = {"planted.py": ("import subprocess\n\nsubprocess.call(input(), shell=True)\n", ("B602",))}
_QUOTED = re.compile(r"'.*'", re.DOTALL)
_FOUND = 1  # also the status of a crash: only the report tells
_BROKE_OFF = "internal error running"  # of one test on one line; bandit goes on
_PASSWORDS = ("B105", "B106", "B107")  # their text quotes what they found


def learn(ground: Ground) -> None:
    """Ask bandit for its version."""
    ground.tool = version_of(ground.run(["bandit", "--version"], install=INSTALL), "bandit")


def work(target: Target, ground: Ground) -> Found:
    """Scan the tree and the canary in one run; every Python file must be among those that bandit has read."""
    (ground.folder / "bandit.ini").touch()  # a .bandit in the tree could leave files and tests out
    output = ground.run(
        [
            *("bandit", "--recursive", "--format", "json", "--output", str(ground.folder / "bandit.json"), "--quiet"),
            *("--ini", str(ground.folder / "bandit.ini"), "--exclude", "", str(target.path), str(target.canary)),
        ],
        install=INSTALL,
    )
    if output.exit_status not in (0, _FOUND):
        raise CommandFailedError(f"bandit ended with {output.exit_status}: {complaint(output)}")
    report = ground.report("bandit.json")
    found = Found()
    try:
        read = {str(Path(name)) for name in report["metrics"] if name != "_totals"}
        unread = {str(Path(one["filename"])): one["reason"] for one in report["errors"]}
        found.findings = [_finding(one, target) for one in report["results"]]
        totals = report["metrics"]["_totals"]
        hushed = totals["nosec"] + totals["skipped_tests"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError(f"bandit's report has an unknown shape ({type(error).__name__}).") from None
    if output.truncated or _BROKE_OFF in output.stderr:
        found.skipped["some lines"] = "bandit broke off there, or said more than was read"
    for path in sorted(path for path in target.path.rglob("*.py") if path.is_file()):
        name = str(path.relative_to(target.root))
        why = unread.get(str(path)) or ("" if str(path) in read else "bandit did not read it")
        if why:
            found.skipped[name] = one_line(why)
        else:
            found.seen.append(name)
    if hushed:
        found.remarks.append(f"{counted(hushed, 'line')} say # nosec and were not judged")
    return found


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

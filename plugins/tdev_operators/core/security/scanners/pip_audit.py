"""Known holes in pinned Python packages, by pip-audit and its service, PyPI's advisories.

Where its service is reached through an index without advisories, pip-audit skips packages, says that there are no
known vulnerabilities, and ends with 0: each package that it was not told about is looked for here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.security.findings import Finding, Found, Kind, Severity, python_package
from tdev_operators.core.security.requirements import files_of, not_told
from tdev_operators.core.security.scanning import Ground, Target, complaint, version_of

SCANS = ("source",)
LIVE = True
INSTALL = "pip install pip-audit"
CANARY = {"requirements.txt": ("jinja2==2.10\n", ("CVE-2019-10906",))}
_FOUND = 1  # also the status of a crash: only the report tells
_SERVICE_SECONDS = 15


def learn(ground: Ground) -> None:
    """Ask pip-audit for its version."""
    ground.tool = version_of(ground.run(["pip-audit", "--version"], install=INSTALL), "pip-audit")


def work(target: Target, ground: Ground) -> Found:
    """Ask for each requirements file of the tree, and for the canary."""
    found = Found()
    files = files_of(target.path)
    for number, path in enumerate([*files, target.canary / "requirements.txt"]):
        report = _audited(ground, path, f"pip-audit-{number}.json")
        name = str(path.relative_to(target.root))
        try:
            _take(report, target, name, found)
        except (AttributeError, KeyError, TypeError) as error:
            raise GarbledAnswerError(f"pip-audit's report has an unknown shape ({type(error).__name__}).") from None
    found.seen = [str(path.relative_to(target.root)) for path in files]
    return found


def _audited(ground: Ground, path: Path, name: str) -> Any:
    output = ground.run(
        [
            *("pip-audit", "--requirement", str(path), "--no-deps", "--disable-pip", "--format", "json", "--aliases"),
            *("--output", str(ground.folder / name), "--progress-spinner", "off", "--timeout", str(_SERVICE_SECONDS)),
            *("--cache-dir", str(ground.folder / "pip-audit")),
        ],
        install=INSTALL,
    )
    if output.exit_status not in (0, _FOUND) or not (ground.folder / name).exists():
        raise CommandFailedError(f"pip-audit ended with {output.exit_status} on {path.name}: {complaint(output)}")
    return ground.report(name)


def _take(report: Mapping[str, Any], target: Target, name: str, found: Found) -> None:
    for package in report["dependencies"]:
        if reason := package.get("skip_reason"):
            found.skipped[f"{package['name']} in {name}"] = one_line(reason)
        else:
            found.findings += _findings(package, target, name)
    told = [str(package["name"]) for package in report["dependencies"]]
    found.skipped |= not_told(target.root / name, name, told)


def _findings(package: Mapping[str, Any], target: Target, name: str) -> Iterator[Finding]:
    for one in package["vulns"]:
        yield Finding(
            Kind.VULNERABILITY,
            rule=one["id"],
            title=one_line(one.get("description") or one["id"], 200),
            severity=Severity.UNKNOWN,  # the advisories have none
            target=target.name,
            scanner="pip_audit",
            package=python_package(package["name"]),
            version=package["version"],
            fixed_in=", ".join(one.get("fix_versions") or ()),
            path=name,
            aliases=tuple(one.get("aliases") or ()),
        )

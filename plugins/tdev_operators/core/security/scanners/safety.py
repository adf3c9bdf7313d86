"""Known holes in pinned Python packages, by safety; it needs an account's key (SAFETY_API_KEY).

Without its key it cannot look, and says so; pip-audit carries the guide's line then, and safety is switched off in
`[[out_of_scope]]`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, SetupMissingError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.security.findings import Finding, Found, Kind, python_package, severity_of
from tdev_operators.core.security.requirements import files_of, not_told
from tdev_operators.core.security.scanning import Ground, Target, complaint, version_of

SCANS = ("source",)
LIVE = True
INSTALL = "pip install safety"
CANARY = {"requirements.txt": ("jinja2==2.10\n", ("CVE-2019-10906",))}
KEY = "SAFETY_API_KEY"
KEYS = (KEY,)
_FOUND = (0, 1, 64)  # findings are 64, or 1 in some versions, which is also a crash: only the report tells


def learn(ground: Ground) -> None:
    """Ask safety for its version.

    Raises:
        SetupMissingError: there is no key.
    """
    if not ground.environment.get(KEY):
        raise SetupMissingError(
            f"safety has no key; put {KEY} into the connection tdev_scanners, or switch scan.safety off in "
            "[[out_of_scope]]: pip-audit asks about the same packages."
        )
    ground.tool = version_of(ground.run(["safety", "--version"], install=INSTALL), "safety")


def work(target: Target, ground: Ground) -> Found:
    """Ask for each requirements file of the tree, and for the canary."""
    found = Found()
    files = files_of(target.path)
    for number, path in enumerate([*files, target.canary / "requirements.txt"]):
        name, report = str(path.relative_to(target.root)), f"safety-{number}.json"
        output = ground.run(
            ["safety", "check", "--file", str(path), "--full-report", "--save-json", str(ground.folder / report)],
            install=INSTALL,
        )
        if output.exit_status not in _FOUND or not (ground.folder / report).exists():
            raise CommandFailedError(f"safety ended with {output.exit_status} on {path.name}: {complaint(output)}")
        try:
            _take(ground.report(report), target, name, found)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GarbledAnswerError(f"safety's report has an unknown shape ({type(error).__name__}).") from None
    found.seen = [str(path.relative_to(target.root)) for path in files]
    return found


def _take(report: Mapping[str, Any], target: Target, name: str, found: Found) -> None:
    if not report["scanned_packages"]:
        found.skipped[name] = "safety took no package from it"
    found.skipped |= not_told(target.root / name, name, list(report["scanned_packages"]))
    found.findings += _findings(report, target, name)


def _findings(report: Mapping[str, Any], target: Target, name: str) -> Iterator[Finding]:
    for one in (*report["vulnerabilities"], *report.get("ignored_vulnerabilities", ())):
        cvss = ((one.get("severity") or {}).get("cvssv3") or {}) if isinstance(one.get("severity"), dict) else {}
        score = float(cvss["base_score"]) if cvss.get("base_score") else None
        cve = one.get("CVE") or ""
        yield Finding(
            Kind.VULNERABILITY,
            rule=cve or f"safety-{one['vulnerability_id']}",
            title=one_line(one.get("advisory") or "", 200),
            severity=severity_of(cvss.get("base_severity"), score),
            target=target.name,
            scanner="safety",
            package=python_package(one["package_name"]),
            version=str(one["analyzed_version"]),
            fixed_in=", ".join(one.get("fixed_versions") or ()),
            path=name,
            cvss=score,
            aliases=(f"safety-{one['vulnerability_id']}",),
            url=one.get("more_info_url") or "",
        )

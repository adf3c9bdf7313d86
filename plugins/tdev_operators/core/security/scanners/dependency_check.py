"""Known holes in libraries of any language, by OWASP dependency-check and its copy of the NVD.

It ends with 0 whatever it found (`--failOnCVSS` is 11), and after an update that broke off it works on with what it
has: the age of its data stands in its report, and errors of its analysers do, too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.security.findings import Finding, Found, Kind, severity_of, without_version
from tdev_operators.core.security.scanning import TARGET, Ground, Target, complaint, moment_of, version_of

SCANS = ("source",)
LIVE = True  # how old its data is stands in its report only
INSTALL = "unpack the release of dependency-check, and put its bin onto the worker's PATH"
_LOCK = """{"name": "planted", "version": "1.0.0", "lockfileVersion": 2, "requires": true,
 "packages": {"": {"dependencies": {"minimist": "0.0.8"}}, "node_modules/minimist": {"version": "0.0.8"}},
 "dependencies": {"minimist": {"version": "0.0.8"}}}
"""
CANARY = {"package-lock.json": (_LOCK, ("CVE-2020-7598",))}
# These run programs in the tree, whose settings may name others, or send what is in it to a service.
_OUTSIDE = (
    *("YarnAudit", "PnpmAudit", "NodeAudit", "BundleAudit", "MixAudit", "OssIndex", "Central", "Assembly"),
    *("GolangMod", "GolangDep"),
)
_CHECKED = "NVD API Last Checked"


def learn(ground: Ground) -> None:
    """Ask dependency-check for its version."""
    ground.tool = version_of(ground.run(["dependency-check", "--version"], install=INSTALL), "dependency-check")


def work(target: Target, ground: Ground) -> Found:
    """Scan the tree and the canary in one run, on the data that is there."""
    output = ground.run(
        [
            *("dependency-check", "--noupdate", "--data", str(ground.cache / "dependency-check"), "--format", "JSON"),
            *("--out", str(ground.folder / "dependency-check.json"), "--project", target.name, "--enableExperimental"),
            *(f"--disable{analyser}" for analyser in _OUTSIDE),
            *("--scan", str(target.path), "--scan", str(target.canary)),
        ],
        install=INSTALL,
    )
    if output.exit_status:
        raise CommandFailedError(f"dependency-check ended with {output.exit_status}: {complaint(output)}")
    report = ground.report("dependency-check.json")
    found = Found()
    try:
        sources = {one["name"]: one["timestamp"] for one in report["scanInfo"].get("dataSource", ())}
        ground.data_at = moment_of(sources.get(_CHECKED))
        if ground.data_at is None:
            found.skipped["its data"] = "it does not say how old that is"
        for error in report["scanInfo"].get("analysisExceptions", ()):
            found.skipped[one_line(str(error.get("exception", error)), 200)] = "an analyser broke off"
        for one in report["dependencies"]:
            if (place := _place(one, target)).startswith(f"{TARGET}/"):
                found.seen.append(place)
            found.findings += _findings(one, target)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError(f"dependency-check's report has an unknown shape ({type(error).__name__}).") from None
    return found


def _place(one: Mapping[str, Any], target: Target) -> str:
    return str(one["filePath"]).partition("?")[0].removeprefix(f"{target.root}/")


def _findings(dependency: Mapping[str, Any], target: Target) -> Iterator[Finding]:
    packages = [str(one["id"]) for one in dependency.get("packages") or ()]
    purl = next((name for name in packages if name.startswith("pkg:")), "")
    for one in dependency.get("vulnerabilities") or ():
        score = next((float(one[by]["baseScore"]) for by in ("cvssv4", "cvssv3") if by in one), None)
        yield Finding(
            Kind.VULNERABILITY,
            rule=one["name"],
            title=one_line(one.get("description") or one["name"], 200),
            severity=severity_of(one.get("severity"), score),
            target=target.name,
            scanner="dependency_check",
            package=without_version(purl),
            version=purl.partition("@")[2],
            path=_place(dependency, target),
            cvss=score,
        )

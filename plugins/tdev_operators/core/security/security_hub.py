"""Findings of AWS Security Hub, and of AWS Inspector through it, as findings of ours.

The guide's filter names `arn:aws:securityhub:::product/aws/inspector`, a product of no region, which matches nothing:
an account full of holes looks clean. Ours names the region, asks whether the hub is there and whether Inspector looks
at what it has to, and holds each answer against what was asked for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from tdev_operators.core.errors import GarbledAnswerError, TdevError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.findings import Finding, Kind, python_package, severity_of
from tdev_operators.core.security.scanning import Scan
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

NAME, TARGET = "security_hub", "AWS account"
ABOUT = "What AWS Security Hub holds: Inspector's findings by the guide, or those of all products."
_INSPECTOR = "inspector"


class SecurityHub(Protocol):
    """The hub of one account in one region."""

    @property
    def title(self) -> str:
        """Account and region, for people; known once it was asked."""

    def subscribed_at(self) -> datetime:
        """Return since when the hub is there.

        Raises:
            SetupMissingError: it is not enabled. AccessDeniedError, TransientError.
        """

    def inspector(self) -> Mapping[str, str]:
        """Return the state of Inspector by kind of resource (`EC2`, `ECR`, `LAMBDA`): `ENABLED` or another word."""

    def findings(self, products: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yield active findings that nobody has resolved, of these products, or of all where none is named."""


def scan_hub(hub: SecurityHub, products: Sequence[str], resources: Sequence[str]) -> Scan:
    """Ask the hub. `resources` are kinds that Inspector has to look at; whatever goes wrong is an UNKNOWN result."""
    try:
        hub.subscribed_at()
        asked = _INSPECTOR in products or not products
        states = hub.inspector() if asked else {}
        found = [one for each in hub.findings(products) for one in findings_of(each, products)]
    except TdevError as error:
        coverage = Coverage(skipped={TARGET: "the hub was not asked"}, tool="AWS Security Hub")
        return Scan(NAME, TARGET, CheckResult(f"scan.{NAME}", Verdict.UNKNOWN, str(error), coverage=coverage))
    blind = {
        f"{kind} in Inspector": f"its state is {states.get(kind, 'unknown')}; enable it there, or take it out of "
        "security.security_hub.resources"
        for kind in (resources if asked else ())
        if states.get(kind) != "ENABLED"
    }
    result = CheckResult(
        f"scan.{NAME}",
        Verdict.OK,
        f"{hub.title}: {counted(len(found), 'finding')} of {', '.join(products) or 'all products'}.",
        coverage=Coverage(seen=(hub.title,), skipped=blind, tool="AWS Security Hub"),
    )
    return Scan(NAME, TARGET, result, tuple(found))


def findings_of(asff: Mapping[str, Any], products: Sequence[str] = ()) -> list[Finding]:
    """Return what a finding in AWS's format says: one a vulnerable package, or one a resource.

    Raises:
        GarbledAnswerError: it is of another product than was asked for, or has another shape.
    """
    try:
        product = str(asff["ProductArn"]).rpartition("/")[2]
        if products and product not in products:
            raise GarbledAnswerError(f"Security Hub has answered with findings of {one_line(product, 60)}.")
        resources = [_resource(one) for one in asff["Resources"]]
        facts: dict[str, Any] = {
            "title": one_line(asff["Title"], 200),
            "severity": severity_of(asff["Severity"]["Label"]),
            "target": TARGET,
            "scanner": NAME,
            "url": str(asff.get("SourceUrl", "")),
        }
        holes = asff.get("Vulnerabilities") or ()
        if holes:
            return [one for place in resources for hole in holes for one in _holes(hole, place, facts)]
        control = (asff.get("Compliance") or {}).get("SecurityControlId")
        # Without a control, one generator stands for everything that its product finds.
        what: dict[str, Any] = {"rule": str(control or asff["GeneratorId"]), "text": "" if control else facts["title"]}
        return [Finding(Kind.CONFIGURATION, path=place, resource=place, **what, **facts) for place in resources]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError(f"A finding of Security Hub has an unknown shape ({type(error).__name__}).") from None


def _holes(hole: Mapping[str, Any], place: str, facts: dict[str, Any]) -> Iterable[Finding]:
    scores = [float(one["BaseScore"]) for one in hole.get("Cvss") or () if str(one.get("Version", "")) >= "3"]
    for package in hole.get("VulnerablePackages") or ({"Name": ""},):
        yield Finding(
            Kind.VULNERABILITY,
            rule=str(hole["Id"]),
            package=_purl(package),
            version=str(package.get("Version", "")),
            fixed_in=str(package.get("FixedInVersion", "")),
            path=place,
            resource=place,
            cvss=max(scores, default=None),
            aliases=tuple(str(one) for one in hole.get("RelatedVulnerabilities") or ()),
            **facts,
        )


def _purl(package: Mapping[str, Any]) -> str:
    name = str(package["Name"])
    manager = str(package.get("PackageManager", "generic")).lower()
    if manager in {"python", "pip", "pypi"}:
        return python_package(name)
    return f"pkg:{manager}/{name}".lower() if name else ""


def _resource(one: Mapping[str, Any]) -> str:
    """Return a resource's name without what changes with each release: an image's digest, a function's version."""
    name = str(one["Id"])
    return name.partition("/sha256:")[0].partition("@sha256:")[0].removesuffix(":$LATEST")

"""Reading CycloneDX 1.4 and later with its vulnerabilities: the other way in for a scanner that has no parser here.

A bill of materials without the list of vulnerabilities says that nobody looked for any. What the tool itself takes for
mended or harmless (its analysis) is told and not judged.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.findings import Finding, Found, Kind, severity_of, without_version
from tdev_operators.core.security.scanning import Target

_HARMLESS = frozenset({"resolved", "resolved_with_pedigree", "false_positive", "not_affected"})


def found_in_cyclonedx(report: Any, target: Target, scanner: str) -> Found:
    """Return the vulnerabilities of all components.

    Raises:
        GarbledAnswerError: it is no CycloneDX, or names no component, and so proves nothing.
    """
    found = Found()
    try:
        if report["bomFormat"] != "CycloneDX":
            raise GarbledAnswerError("It is no CycloneDX.")
        parts = {str(part.get("bom-ref") or part.get("purl")): part for part in _parts(report)}
        if not parts:
            raise GarbledAnswerError("Its bill of materials names no component, and proves nothing.")
        if not isinstance(report.get("vulnerabilities"), list):
            found.skipped["the vulnerabilities"] = "it has no list of them: the tool did not look"
        hushed = 0
        for one in report.get("vulnerabilities") or ():
            if (one.get("analysis") or {}).get("state") in _HARMLESS:
                hushed += 1
            else:
                found.findings += _findings(one, parts, target, scanner)
        if hushed:
            found.remarks.append(f"{counted(hushed, 'finding')} taken for harmless by the tool, and not judged")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError(f"Its CycloneDX has an unknown shape ({type(error).__name__}).") from None
    return found


def _parts(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the components, those inside others, too, and what the bill is about."""
    waiting = [*(report.get("components") or ())]
    about = (report.get("metadata") or {}).get("component")
    waiting += [about] if about else []
    while waiting:
        part = waiting.pop()
        waiting += part.get("components") or ()
        yield part


def _findings(
    one: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], target: Target, scanner: str
) -> Iterator[Finding]:
    scores = [float(rating["score"]) for rating in one.get("ratings") or () if rating.get("score") is not None]
    score = max((score for score in scores if 0 < score <= 10), default=None)  # noqa: PLR2004  CVSS's range
    words = [severity_of(rating.get("severity")) for rating in one.get("ratings") or ()]
    aliases = tuple(str(other["id"]) for other in one.get("references") or () if other.get("id"))
    for place in one.get("affects") or ({"ref": ""},):
        part = parts.get(str(place["ref"]), {})
        purl = str(part.get("purl") or part.get("name") or place["ref"])
        yield Finding(
            Kind.VULNERABILITY,
            rule=str(one["id"]),
            title=one_line(str(one.get("description") or one.get("detail") or one["id"]), 200),
            severity=min(words, key=lambda word: word.rank) if words else severity_of("", score),
            target=target.name,
            scanner=scanner,
            aliases=aliases,
            package=without_version(purl),
            version=str(part.get("version", "")),
            cvss=score,
            url=str((one.get("source") or {}).get("url", "")),
        )

"""Reading SARIF 2.1.0, the form in which most scanners can report: the way in for one that has no parser here.

Its fingerprints are not believed: some tools give all findings the same one. A run that says that it did not succeed,
or that a file could not be read, has not looked at everything.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.findings import Finding, Found, Kind, canonical, severity_of
from tdev_operators.core.security.scanning import Target

_DEFAULT_LEVEL = "warning"  # as the standard has it, where neither result nor rule gives one
_NO_PROBLEM = frozenset({"pass", "notApplicable", "informational"})


def found_in_sarif(report: Any, target: Target, scanner: str) -> Found:
    """Return the results of all runs, and what the tool says that it could not do.

    Raises:
        GarbledAnswerError: it is no SARIF.
    """
    found = Found()
    try:
        if not str(report["version"]).startswith("2.1"):
            raise GarbledAnswerError(
                f"Its SARIF has the version {one_line(str(report['version']), 20)}; 2.1.0 is read."
            )
        if not report["runs"]:
            raise GarbledAnswerError("Its SARIF has no run, and proves nothing.")
        for run in report["runs"]:
            found.skipped |= _not_done(run)
            rules = _rules(run)
            hushed = 0
            for result in run.get("results") or ():
                suppressions = result.get("suppressions") or ()
                if suppressions and all(one.get("status", "accepted") == "accepted" for one in suppressions):
                    hushed += 1
                elif result.get("kind") == "open":
                    found.skipped[f"{result.get('ruleId')}"] = "the tool could not decide"
                elif result.get("kind", "fail") not in _NO_PROBLEM:
                    found.findings += _findings(result, rules, target, scanner)
            if hushed:
                found.remarks.append(f"{counted(hushed, 'result')} were suppressed by the tool and not judged")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError(f"Its SARIF has an unknown shape ({type(error).__name__}).") from None
    return found


def _not_done(run: Mapping[str, Any]) -> dict[str, str]:
    """Return what the run could not do, by its own words."""
    found = {}
    if not isinstance(run.get("results"), list):
        found["the run"] = "it has no results: the tool did not try"
    for invocation in run.get("invocations") or ():
        if invocation.get("executionSuccessful") is False:
            why = invocation.get("exitCodeDescription") or invocation.get("exitCode", "")
            found["the run"] = one_line(f"it did not succeed {why}".strip(), 200)
        notices = [*(invocation.get("toolExecutionNotifications") or ())]
        for notice in (*notices, *(invocation.get("toolConfigurationNotifications") or ())):
            if notice.get("level") == "error":
                said = one_line(str((notice.get("message") or {}).get("text", "an error")), 200)
                found[f"what the tool says: {said}"] = "the tool could not look"
    return found


def _rules(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    tool = run["tool"]
    parts = [tool["driver"], *(tool.get("extensions") or ())]
    return {rule["id"]: rule for part in parts for rule in part.get("rules") or ()}


def _findings(
    result: Mapping[str, Any], rules: Mapping[str, Mapping[str, Any]], target: Target, scanner: str
) -> Iterator[Finding]:
    name = str(result.get("ruleId") or (result.get("rule") or {})["id"])
    rule = rules.get(name, {})
    properties = {**(rule.get("properties") or {}), **(result.get("properties") or {})}
    score = _score(properties.get("security-severity"))
    level = result.get("level") or (rule.get("defaultConfiguration") or {}).get("level") or _DEFAULT_LEVEL
    said = one_line(str(result["message"].get("text") or name), 200)
    locations: Sequence[Mapping[str, Any]] = result.get("locations") or ({},)
    for location in locations:
        place = location.get("physicalLocation") or {}
        region = place.get("region") or {}
        yield Finding(
            Kind.VULNERABILITY if canonical(name).startswith("CVE-") else Kind.CODE,
            rule=name,
            title=said,
            # A score says more than a level, which has three steps.
            severity=severity_of("" if score else level, score),
            target=target.name,
            scanner=scanner,
            path=_path(str((place.get("artifactLocation") or {}).get("uri", "")), target),
            line=int(region.get("startLine") or 0),
            text=str((region.get("snippet") or {}).get("text", "")) or said,
            cvss=score,
            url=str(rule.get("helpUri", "")),
        )


def _score(value: object) -> float | None:
    try:
        score = float(str(value))
    except ValueError:
        return None
    return score if 0 < score <= 10 else None  # noqa: PLR2004  CVSS's range


def _path(uri: str, target: Target) -> str:
    """Return a place relative to the target's root, whether it was given as a path or as a file URI."""
    path = unquote(urlsplit(uri).path if uri.startswith("file:") else uri)
    return path.removeprefix(f"{target.root}/").removeprefix("./")

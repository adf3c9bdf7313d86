"""How urgent a finding is: known to be exploited (KEV), then likely to be (EPSS), then bad (CVSS); and its due date.

Both feeds are files, so that a worker without a network has them: CISA's known_exploited_vulnerabilities.json, and
FIRST's epss_scores CSV (may be .gz). One that is old says nothing about what came since.
"""

import csv
import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.security.findings import Finding, Severity, canonical
from tdev_operators.core.security.scanning import moment_of

_KEV_FIRST, _EPSS_STEPS, _CVSS_STEPS = 0, 100, 10


@dataclass(frozen=True, slots=True)
class Feeds:
    """What is known of vulnerabilities beside what scanners say; `made` are the feeds' own dates by name."""

    exploited: frozenset[str] = frozenset()
    likely: Mapping[str, float] = field(default_factory=dict)
    made: Mapping[str, datetime] = field(default_factory=dict)


def read_feeds(kev: Path | None, epss: Path | None) -> Feeds:
    """Read the files that are named.

    Raises:
        InputError: one is not there. GarbledAnswerError: it is something else.
    """
    exploited: frozenset[str] = frozenset()
    likely: dict[str, float] = {}
    made: dict[str, datetime] = {}
    try:
        if kev is not None:
            data = json.loads(_text(kev))
            exploited = frozenset(str(one["cveID"]) for one in data["vulnerabilities"])
            made["KEV"] = _moment(data["dateReleased"])
        if epss is not None:
            head, _, rows = _text(epss).partition("\n")  # #model_version:v2025.03.14,score_date:2026-11-28T12:55:00Z
            made["EPSS"] = _moment(head.partition("score_date:")[2].strip())
            likely = {row["cve"]: float(row["epss"]) for row in csv.DictReader(io.StringIO(rows))}
    except FileNotFoundError as error:
        raise InputError(f"There is no feed {error.filename}; fetch it, or empty its setting.") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GarbledAnswerError(f"A feed of vulnerabilities cannot be read: {type(error).__name__}.") from None
    if (kev and not exploited) or (epss and not likely):
        raise GarbledAnswerError("A feed of vulnerabilities is empty; fetch it anew.")
    return Feeds(exploited, likely, made)


def priority_of(finding: Finding, feeds: Feeds) -> int:
    """Return its place in the order of work, 0 first: the exploited, then by EPSS in percent, severity, CVSS."""
    name = canonical(finding.rule, finding.aliases)
    if name in feeds.exploited:
        return _KEV_FIRST
    likely = round(feeds.likely.get(name, 0.0) * _EPSS_STEPS)
    score = round((finding.cvss or 0.0) * _CVSS_STEPS)
    return (
        1
        + ((_EPSS_STEPS - likely) * len(Severity) + finding.severity.rank) * (10 * _CVSS_STEPS + 1)
        + (10 * _CVSS_STEPS - score)
    )


def due_days_of(finding: Finding, feeds: Feeds, days: Mapping[str, float]) -> float:
    """Return how many days there are to mend it: what is exploited is due like a critical one, an unknown like high."""
    if canonical(finding.rule, finding.aliases) in feeds.exploited:
        return days["critical"]
    severity = Severity.HIGH if finding.severity is Severity.UNKNOWN else finding.severity
    return days[severity.lower()]


def _text(path: Path) -> str:
    body = path.read_bytes()
    return (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode("utf-8")


def _moment(text: object) -> datetime:
    at = moment_of(text)
    if at is None:
        raise ValueError("no moment")
    return at

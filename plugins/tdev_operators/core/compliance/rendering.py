"""A record as a page for people: to read, and to print."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tdev_operators.core.reporting.rendering import environment

if TYPE_CHECKING:
    from jinja2 import Environment

    from tdev_operators.core.compliance.record import ComplianceRecord

_TEMPLATES = Path(__file__).parent / "templates"
_VERDICTS = {"PASS": "OK", "FAIL": "CRITICAL", "UNKNOWN": "UNKNOWN"}


def render(record: "ComplianceRecord", sha256: str) -> str:
    """Return the record as one HTML page that needs nothing else; `sha256` is the digest of the record as it stands."""
    template = _environment().get_template("compliance.html.j2")
    return template.render(record=record, sha256=sha256, verdicts=_VERDICTS)


@cache
def _environment() -> "Environment":
    return environment(_TEMPLATES)

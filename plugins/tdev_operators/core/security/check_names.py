"""What scans report, by name: for `[[silences]]` and `[[out_of_scope]]`, and for whoever reads a report."""

from typing import TYPE_CHECKING

from tdev_operators.core.scope import parted
from tdev_operators.core.security import reports, security_hub
from tdev_operators.core.security.audit.looks import all_looks
from tdev_operators.core.security.scanners import all_scanners
from tdev_operators.core.verdicts import OutOfScope

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

FINDINGS = {
    "findings.open": "what is open, new, back, fixed, and past its due date",
    "findings.waivers": "who answers for findings, and whose time is over",
    "findings.feeds": "how old the lists of exploited and likely vulnerabilities are",
}


def about() -> dict[str, str]:
    """Return every name with what it is about."""
    return _scans() | FINDINGS | _looks()


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `scan.*`, means something that scans report."""
    return pattern in {"scan.*", "findings.*", "audit.*"} or pattern in about()


def switched_off(settings: "Settings") -> tuple[OutOfScope, ...]:
    """Return the scanners that `[[out_of_scope]]` switches off; what the ledger holds is always judged."""
    return parted(_scans(), settings)[1]


def looks_switched_off(settings: "Settings") -> tuple[OutOfScope, ...]:
    """Return the looks of the audit that `[[out_of_scope]]` switches off."""
    return parted(_looks(), settings)[1]


def _looks() -> dict[str, str]:
    return {one.name: one.about for one in all_looks()}


def _scans() -> dict[str, str]:
    programs = {f"scan.{one.name}": one.about for one in all_scanners()}
    others = {f"scan.{one.NAME}": one.ABOUT for one in (security_hub, reports)}
    return programs | others

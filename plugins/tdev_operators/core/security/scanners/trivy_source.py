"""Vulnerable packages, secrets, weak configuration and restricted licences in a source tree, by trivy."""

from tdev_operators.core.security import trivy
from tdev_operators.core.security.findings import Found
from tdev_operators.core.security.scanning import Ground, Target

SCANS = ("source",)
INSTALL = trivy.INSTALL
learn = trivy.learn
CANARY = {**trivy.PACKAGES_CANARY, **trivy.LINES_CANARY}


def work(target: Target, ground: Ground) -> Found:
    """Scan the tree and the canary in one run."""
    report, output = trivy.scanned(ground, ("fs", str(target.root)), ("vuln", "secret", "misconfig", "license"))
    found = trivy.found_in(report, target, "trivy_source")
    found.skipped |= trivy.not_read(report, target) | trivy.not_parsed(output)
    found.remarks += trivy.hushed(target)
    found.seen = [target.name]  # fetching has refused a tree without a file
    return found

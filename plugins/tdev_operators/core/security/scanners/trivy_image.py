"""Vulnerable packages, secrets and weak configuration in a container image, by trivy; never through a Docker socket."""

from tdev_operators.core.security import trivy
from tdev_operators.core.security.findings import Found
from tdev_operators.core.security.scanning import Ground, Target

SCANS = ("image",)
INSTALL = trivy.INSTALL
learn = trivy.learn
CANARY = {**trivy.PACKAGES_CANARY, **trivy.LINES_CANARY}
_SCANNERS = ("vuln", "secret", "misconfig", "license")


def work(target: Target, ground: Ground) -> Found:
    """Scan the image, by its reference or its tar, and the canary by the same data and program."""
    where = ("--image-src", "remote") if target.reference else ("--input", str(target.path / "image.tar"))
    extra = ("--image-config-scanners", "misconfig,secret", *where)
    what = ("image", target.reference) if target.reference else ("image",)
    report, output = trivy.scanned(ground, what, _SCANNERS, extra=extra)
    found = trivy.found_in(report, target, "trivy_image", below=target.path)
    found.skipped |= trivy.without_system(report)
    planted, _ = trivy.scanned(ground, ("fs", str(target.canary)), _SCANNERS, name="canary.json")
    found.findings += trivy.found_in(planted, target, "trivy_image", below=target.canary).findings
    found.skipped |= trivy.not_parsed(output)
    found.seen = [target.name]
    return found

"""Whether the database refuses well-known pairs of user and password."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = "Set another at once with `\\password <user>` in psql, and look for `trust` and `password` lines in pg_hba.conf."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when one of the pairs is let in. Our tries are marked by their application name."""
    findings = Findings(__name__)
    pairs = settings.health.security.default_passwords
    for user, password in pairs:
        findings.saw(f"user {user}")
        if system.credentials.database_accepts(user, password):
            findings.found(Verdict.CRITICAL, f"The database lets user {user} in with a well-known password.")
    return findings.conclude(f"The database refuses all {len(pairs)} well-known pairs of user and password.")

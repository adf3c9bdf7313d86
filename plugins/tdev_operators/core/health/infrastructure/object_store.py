"""Whether the object store answers and has the three buckets."""

from collections.abc import Callable

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("objects",)
HINT = "Try `aws s3 ls s3://<bucket>` with the keys of the connection tdev_aws; check its endpoint, keys and policy."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when one of the buckets cannot be listed."""
    findings = Findings(__name__)
    buckets = settings.buckets

    def first_object(bucket: str) -> Callable[[], object]:
        return lambda: next(iter(system.objects.list(bucket)), None)

    names = (buckets.agents, buckets.checkpoints, buckets.backups)
    for bucket, answer in side_by_side({name: first_object(name) for name in names}, at_most=len(names)).items():
        findings.saw(bucket)
        if isinstance(answer, TdevError):
            findings.found(Verdict.CRITICAL, f"Bucket {bucket} cannot be listed: {answer}")
    return findings.conclude(f"All {len(names)} buckets can be listed.")

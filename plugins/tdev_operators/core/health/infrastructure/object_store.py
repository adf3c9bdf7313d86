"""Whether the object store answers and has the three buckets."""

from collections.abc import Callable

from tdev_operators.core.errors import InputError, TdevError
from tdev_operators.core.health.findings import OF_THE_TARGET, Findings
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("objects",)
DOUBTFUL = True
HINT = "Try `aws s3 ls s3://<bucket>` with the keys of the connection tdev_aws; check its endpoint, keys and policy."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when the store does not answer or lacks a bucket, UNKNOWN when it refuses us or we cannot ask it."""
    findings = Findings(__name__)
    buckets = settings.buckets

    def first_object(bucket: str) -> Callable[[], object]:
        return lambda: next(iter(system.objects.list(bucket)), None)

    names = (buckets.agents, buckets.checkpoints, buckets.backups)
    for bucket, answer in side_by_side({name: first_object(name) for name in names}, at_most=len(names)).items():
        if isinstance(answer, TdevError) and not isinstance(answer, (*OF_THE_TARGET, InputError)):
            findings.skip(bucket, str(answer))
            continue
        findings.saw(bucket)
        if isinstance(answer, TdevError):
            findings.found(Verdict.CRITICAL, f"Bucket {bucket} cannot be listed: {answer}")
    return findings.conclude(f"All {len(names)} buckets can be listed.")

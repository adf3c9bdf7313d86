"""Whether strangers can list or read the buckets."""

from collections.abc import Callable

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.registry import REACHABILITY
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import BucketExposure, SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("objects",)
HINT = (
    "Block it at once: `aws s3api put-public-access-block --bucket <bucket> --public-access-block-configuration "
    "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`."
)

# 400: to some stores a request without a signature is a malformed one. The stranger gets nothing either way.
_REFUSED = (400, 401, 403)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a bucket lets strangers in or its policy or ACL would; probes that the store lacks are said."""
    findings = Findings(__name__)

    def look(bucket: str) -> Callable[[], BucketExposure]:
        return lambda: system.objects.exposure(bucket)

    buckets = settings.buckets
    names = (buckets.agents, buckets.checkpoints, buckets.backups)
    because_of, unsupported = "", set()
    for bucket, exposure in side_by_side({name: look(name) for name in names}, at_most=len(names)).items():
        if isinstance(exposure, TdevError):
            findings.skip(bucket, str(exposure))
            because_of = REACHABILITY["objects"]
            continue
        unsupported |= _judge(bucket, exposure, findings)
    said = f" The store does not tell: {', '.join(sorted(unsupported))}." if unsupported else ""
    return findings.conclude(
        f"All {len(names)} buckets refuse strangers.{said}", tool="anonymous requests", because_of=because_of
    )


def lets_strangers_in(exposure: BucketExposure) -> bool:
    """Whether a stranger gets something, or a policy or an ACL says that he may."""
    by_deed = _lets_in(exposure.anonymous_list_status) or _lets_in(exposure.anonymous_read_status)
    return by_deed or bool(exposure.policy_is_public) or bool(exposure.acl_grants_public)


def gap_of(exposure: BucketExposure) -> str:
    """Return why nobody can say how a bucket answers strangers; empty when one can."""
    tries = {"list": exposure.anonymous_list_status, "read": exposure.anonymous_read_status}
    unclear = {
        deed: status
        for deed, status in tries.items()
        if status is not None and status not in _REFUSED and not _lets_in(status)
    }
    if exposure.rights_missing:
        return f"we lack the right {', '.join(exposure.rights_missing)}; grant it to our role"
    if unclear:
        answers = ", ".join(f"{deed} {status}" for deed, status in unclear.items())
        return f"its answers to a stranger neither let in nor refuse: {answers}"
    claims = (exposure.policy_is_public, exposure.acl_grants_public)
    return "the store supports none of our probes" if all(one is None for one in (*tries.values(), *claims)) else ""


def _lets_in(status: int | None) -> bool:
    return status is not None and 200 <= status < 300  # noqa: PLR2004  success, as HTTP defines it


def _judge(bucket: str, exposure: BucketExposure, findings: Findings) -> set[str]:
    """Note what one bucket's exposure means and return the probes that its store does not support."""
    tries = {"list": exposure.anonymous_list_status, "read": exposure.anonymous_read_status}
    claims = {"policy": exposure.policy_is_public, "ACL": exposure.acl_grants_public}
    for deed, status in tries.items():
        if _lets_in(status):
            findings.found(Verdict.CRITICAL, f"A stranger can {deed} bucket {bucket} (status {status}).")
    for claim, is_public in claims.items():
        if is_public:
            findings.found(Verdict.CRITICAL, f"The {claim} of bucket {bucket} lets everybody in.")
    if gap := gap_of(exposure):
        findings.skip(bucket, gap)
    else:
        findings.saw(bucket)
    # A store without bucket policies has nothing to block.
    if exposure.public_access_blocked is False and exposure.policy_is_public is not None:
        findings.found(Verdict.WARNING, f"Bucket {bucket} has no public access block; one wrong policy would open it.")
    probes = {**{f"anonymous {deed}": status for deed, status in tries.items()}, **claims}
    probes["public access block"] = exposure.public_access_blocked
    return set() if exposure.rights_missing else {probe for probe, answer in probes.items() if answer is None}

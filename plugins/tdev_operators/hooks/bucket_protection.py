"""What guards the backups bucket, as far as the store tells, and whether it keeps its word on conditional writes."""

import secrets
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from tdev_operators.core.backup.ports import Protection
from tdev_operators.core.errors import TdevError
from tdev_operators.hooks.aws import code_of, status_of
from tdev_operators.hooks.s3_requests import S3Requests

T = TypeVar("T")

_NOT_OFFERED = (403, 404, 405, 501)
_REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "409", "412"})


def protection_of(requests: S3Requests, bucket: str, prefix: str) -> Protection:
    """See `core.backup.ports.BackupStore.protection`."""
    rules: list[Mapping[str, Any]] | None = _told(
        requests,
        bucket,
        lambda s3: s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
        nothing="NoSuchLifecycleConfiguration",
        otherwise=[],
    )
    return Protection(
        versioning=_told(
            requests, bucket, lambda s3: bool(s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")
        ),
        object_lock=_told(
            requests,
            bucket,
            lambda s3: bool(
                s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"].get("ObjectLockEnabled")
                == "Enabled"
            ),
            nothing="ObjectLockConfigurationNotFoundError",
            otherwise=False,
        ),
        expiring_rules=None
        if rules is None
        else tuple(str(rule.get("ID") or "a rule without a name") for rule in rules if _expires(rule, prefix)),
        conditional_writes=_writes_conditionally(requests, bucket, prefix),
    )


def _told(
    requests: S3Requests, bucket: str, work: Callable[[Any], T], *, nothing: str = "", otherwise: T | None = None
) -> T | None:
    """Return the store's answer; `otherwise` when it says that nothing is set, None when it cannot or may not tell."""

    def answer(s3: Any) -> T | None:
        return setting_of(lambda: work(s3), nothing=nothing, otherwise=otherwise, not_offered=_NOT_OFFERED)

    return requests.ask(requests.of_bucket(bucket), answer)


def setting_of(work: Callable[[], T], *, nothing: str, otherwise: T | None, not_offered: Container[int]) -> T | None:
    """Return what a store answers about a setting of a bucket.

    `otherwise` when it says that nothing is set (the code `nothing`), None when it does not offer such a thing.
    """
    try:
        return work()
    except KeyError:  # it took the question for another one, as small stores do
        return None
    except ClientError as error:
        if code_of(error) == nothing:
            return otherwise
        if code_of(error) != "NoSuchBucket" and status_of(error) in not_offered:
            return None
        raise


def _expires(rule: Mapping[str, Any], prefix: str) -> bool:
    """Whether a lifecycle rule may remove untagged objects, or versions of them, below the prefix."""
    days = {**rule.get("Expiration", {})}
    days.pop("ExpiredObjectDeleteMarker", None)  # removes marks of what is deleted already
    if rule.get("Status") != "Enabled" or not (days or rule.get("NoncurrentVersionExpiration")):
        return False
    condition = rule.get("Filter") or {}
    both = condition.get("And") or {}
    if condition.get("Tag") or both.get("Tags"):  # ours have no tags
        return False
    theirs = str(rule.get("Prefix") or condition.get("Prefix") or both.get("Prefix") or "")
    return theirs.startswith(prefix) or prefix.startswith(theirs)


def _writes_conditionally(requests: S3Requests, bucket: str, prefix: str) -> bool:
    """Write an object that is there already, on condition that it is not, and see what stands then."""
    what = requests.of_bucket(bucket)
    probe = {"Bucket": bucket, "Key": f"{prefix}probe-{secrets.token_hex(6)}"}

    def again(s3: Any) -> bool:
        try:
            s3.put_object(Body=b"2", IfNoneMatch="*", **probe)
        except ClientError as error:
            if code_of(error) in _REFUSED:
                return True
            if status_of(error) in _NOT_OFFERED or code_of(error) == "InvalidArgument":
                return False
            raise
        return False

    requests.ask(what, lambda s3: s3.put_object(Body=b"1", **probe))
    try:
        refused = requests.ask(what, again)
        return refused and requests.ask(what, lambda s3: bool(s3.get_object(**probe)["Body"].read() == b"1"))
    finally:
        with suppress(TdevError):
            requests.ask(what, lambda s3: s3.delete_object(**probe))

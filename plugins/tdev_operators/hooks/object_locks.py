"""The bucket's Object Lock: its default retention, and longer locks for single objects."""

import itertools
from collections.abc import Iterable
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from tdev_operators.core.backup.ports import LockRule
from tdev_operators.hooks.aws import code_of, status_of
from tdev_operators.hooks.s3_requests import S3Requests

_DAYS_A_YEAR = 365
_NOT_OFFERED = (400, 404, 405, 501)
_AT_ONCE = 256
_REFUSED = 403


def lock_rule(requests: S3Requests, bucket: str) -> LockRule | None:
    """See `core.backup.ports.BackupStore.lock_rule`."""

    def answer(s3: Any) -> LockRule | None:
        try:
            told = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
            rule = told["Rule"]["DefaultRetention"]
            return LockRule(rule["Mode"], rule.get("Days") or rule["Years"] * _DAYS_A_YEAR)
        except KeyError:  # no default, or a store that took the question for another one
            return None
        except ClientError as error:
            if code_of(error) != "NoSuchBucket" and status_of(error) in _NOT_OFFERED:
                return None
            raise

    return requests.ask(requests.of_bucket(bucket), answer)


def extend_locks(
    requests: S3Requests, workers: Executor, bucket: str, keys: Iterable[str], mode: str, until: datetime
) -> int:
    """See `core.backup.ports.BackupStore.extend_locks`; `workers` ask at the same time."""
    wanted: Any = {"Mode": mode, "RetainUntilDate": until}

    def extend(key: str) -> int:
        def work(s3: Any) -> int:
            try:
                s3.put_object_retention(Bucket=bucket, Key=key, Retention=wanted)
            except ClientError as error:
                # A lock that ends later may not be shortened, and is what we want.
                if status_of(error) != _REFUSED or not _is_locked(s3, bucket, key, until):
                    raise
                return 0
            return 1

        return requests.ask(requests.of_object(bucket, key), work)

    every = iter(keys)
    extended = 0
    while some := list(itertools.islice(every, _AT_ONCE)):
        extended += sum(workers.map(extend, some))
    return extended


def _is_locked(s3: Any, bucket: str, key: str, until: datetime) -> bool:
    held = s3.head_object(Bucket=bucket, Key=key).get("ObjectLockRetainUntilDate")
    return held is not None and held >= until

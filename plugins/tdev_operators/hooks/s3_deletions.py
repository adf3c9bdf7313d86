"""Deleting objects by the thousand, and looking whether they are gone."""

import itertools
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from botocore.exceptions import ClientError

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.hooks.aws import aws_errors
from tdev_operators.hooks.s3_requests import S3Requests

_KEYS_A_REQUEST = 1000


def delete_checked(
    store: BackupStore, requests: S3Requests, workers: Executor, bucket: str, keys: Sequence[str]
) -> None:
    """See `core.backup.ports.BackupStore.delete`; `store` and `workers` look afterwards."""
    for at in range(0, len(keys), _KEYS_A_REQUEST):
        batch = keys[at : at + _KEYS_A_REQUEST]
        _delete(requests, bucket, batch)
        left = _left(store, workers, bucket, batch)
        if left:
            raise GarbledAnswerError(
                f"{requests.of_object(bucket, left)} was deleted and is still there; see who holds it or writes it."
            )


def _delete(requests: S3Requests, bucket: str, keys: Sequence[str]) -> None:
    wanted: Any = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
    answer = requests.ask(requests.of_bucket(bucket), lambda s3: s3.delete_objects(Bucket=bucket, Delete=wanted))
    for refused in answer.get("Errors", ()):
        if refused.get("Code") != "NoSuchKey":
            parts: Any = {"Error": refused, "ResponseMetadata": {"HTTPStatusCode": 400}}
            with aws_errors(requests.of_object(bucket, refused.get("Key", "")), requests.facts):
                raise ClientError(parts, "DeleteObjects")


def _left(store: BackupStore, workers: Executor, bucket: str, keys: Sequence[str]) -> str:
    """Return one that is there still: by a listing of where they were, or one by one when much else is there."""
    first, last, asked = min(keys), max(keys), set(keys)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    there = itertools.takewhile(lambda info: info.key <= last, store.list(bucket, first[:same], after=first))
    seen = [info.key for info in itertools.islice(there, 2 * _KEYS_A_REQUEST)]
    if len(seen) < 2 * _KEYS_A_REQUEST:
        return next((key for key in seen if key in asked), first if store.find(bucket, first) else "")
    found = workers.map(lambda key: store.find(bucket, key), keys)
    return next((info.key for info in found if info is not None), "")

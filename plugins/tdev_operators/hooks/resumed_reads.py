"""Downloads that are taken up again where they broke, and end in bounded time when the store hangs or drips."""

import random
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import urllib3.exceptions
from botocore.exceptions import ClientError

from tdev_operators.core.errors import InputError, TargetTimeoutError, TargetUnreachableError, TransientError
from tdev_operators.hooks.aws import status_of
from tdev_operators.hooks.s3_requests import S3Requests

_CHUNK_BYTES = 1024 * 1024
_RESUMPTIONS = 5
_FIRST_PAUSE_SECONDS = 0.2
# After so much progress a download counts as well again: one of hours may break more often than one of seconds.
_WELL_AGAIN_BYTES = 8 * 1024 * 1024
# Slower than this for so long is a drip, not a download.
_DRIP_BYTES_PER_SECOND = 16 * 1024
_DRIP_AFTER_SECONDS = 30.0


def read_resumed(
    requests: S3Requests, bucket: str, key: str, *, start: int = 0, length: int | None = None, etag: str = ""
) -> Iterator[bytes]:
    """Stream an object, or a range of it, in chunks of about 1 MiB; with `etag`, only as long as that is its ETag.

    Raises:
        InputError: it is gone, has changed, or has fewer bytes than were asked for.
        TargetTimeoutError, TargetUnreachableError: it hangs, drips or breaks off again and again.
        GarbledAnswerError: the store sends another range than it was asked for.
    """
    what = requests.of_object(bucket, key)
    position, end = start, None if length is None else start + length
    failures, well_at = 0, start
    while end is None or position < end:
        answer = _open(requests, bucket, key, position, end, etag)
        if etag and answer.get("ETag", "").strip('"') != etag.strip('"'):
            raise _changed(what)
        etag = answer.get("ETag", "")
        whole = position + answer["ContentLength"]
        if end is not None and whole < end:
            raise InputError(f"{what} ends at byte {whole}, before the byte {end} that was asked for.")
        end = whole if end is None else end
        try:
            for chunk in _chunks(what, answer["Body"], end - position):
                position += len(chunk)
                yield chunk
        except TransientError:
            if position - well_at >= _WELL_AGAIN_BYTES:
                failures = 0
            failures, well_at = failures + 1, position
            if failures > _RESUMPTIONS:
                raise
            # So that many do not come again at once.
            time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (failures - 1) * random.uniform(0.5, 1.5))  # noqa: S311


def _open(requests: S3Requests, bucket: str, key: str, start: int, end: int | None, etag: str) -> Any:
    what = requests.of_object(bucket, key)
    request: dict[str, str] = {"Bucket": bucket, "Key": key}
    if start or end is not None:
        request["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
    if etag:
        request["IfMatch"] = etag

    def work(s3: Any) -> Any:
        try:
            return s3.get_object(**request)
        except ClientError as error:
            if status_of(error) == HTTPStatus.PRECONDITION_FAILED:
                raise _changed(what) from None
            raise

    answer = requests.ask(what, work)
    if "ContentLength" not in answer:
        raise requests.garbled(bucket, "it does not say how long an object is")
    if start and not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-"):
        answer["Body"].close()
        raise requests.garbled(bucket, "it sends another range of an object than it was asked for")
    return answer


def _chunks(what: str, body: Any, wanted: int) -> Iterator[bytes]:
    """Yield exactly the bytes that were promised. Only time spent waiting for the store counts as the store's."""
    buffer, taken, waited = bytearray(), 0, 0.0
    with body as raw:
        while taken < wanted:
            began = time.monotonic()
            try:
                # What is there, by one look at the socket: a call that waits for a whole chunk waits for a drip.
                piece = raw.read1(min(_CHUNK_BYTES, wanted - taken))
            except (urllib3.exceptions.ReadTimeoutError, TimeoutError):
                raise TargetTimeoutError(
                    f"{what} stopped in the middle; see whether the store runs and can be reached."
                ) from None
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise TargetUnreachableError(
                    f"{what} broke off ({type(error).__name__}); see whether the store is well."
                ) from None
            waited += time.monotonic() - began
            if not piece:
                raise TargetUnreachableError(f"{what} broke off at {taken} of {wanted} bytes; is the store well?")
            buffer += piece
            taken += len(piece)
            if len(buffer) >= _CHUNK_BYTES or taken == wanted:
                yield bytes(buffer)
                buffer.clear()
            if waited > _DRIP_AFTER_SECONDS and taken < waited * _DRIP_BYTES_PER_SECOND:
                raise TargetTimeoutError(
                    f"{what} drips in at {taken / waited:.0f} bytes a second; see what slows the store."
                )


def _changed(what: str) -> InputError:
    return InputError(f"{what} was overwritten while it was read; read it again.")

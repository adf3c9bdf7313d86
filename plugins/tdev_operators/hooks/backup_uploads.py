"""Large objects on their way into an S3 store: multipart uploads and copies that we own from begin to end."""

import base64
import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from tdev_operators.core.errors import BusyError, GarbledAnswerError, TdevError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks.aws import code_of
from tdev_operators.hooks.s3_listings import list_uploads
from tdev_operators.hooks.s3_requests import PLAIN_ETAG, S3Requests

MIB = 1024 * 1024

# Parts grow with the stream: 10,000 of them, which is all that S3 takes, then hold more than a terabyte.
FIRST_PART_BYTES = 8 * MIB
# One part of a copy on the store's side; nothing passes through here, so it may be large.
COPY_PART_BYTES = 128 * MIB

_MOST_PARTS = 10_000
_PARTS_OF_ONE_SIZE = 500
_GROWTH = 1.25
_IN_FLIGHT_BYTES = 32 * MIB
_WORTH_A_PART = 64 * 1024
_PARTS_IN_ETAG = re.compile(r"[0-9a-f]{32}-(\d+)")


def part_bytes(number: int) -> int:
    """Return the size of a part by its number (from 1)."""
    return int(FIRST_PART_BYTES * _GROWTH ** ((number - 1) // _PARTS_OF_ONE_SIZE)) // MIB * MIB


def put_checked(s3: Any, what: str, body: bytes, send: str, **request: Any) -> str:
    """Send a body by `put_object` or `upload_part` with its MD5, so that the store can see damage; return the ETag.

    Raises:
        GarbledAnswerError: the store answers with the MD5 of something else.
    """
    digest = hashlib.md5(body, usedforsecurity=False)
    answer = getattr(s3, send)(Body=body, ContentMD5=base64.b64encode(digest.digest()).decode(), **request)
    etag = str(answer.get("ETag", "")).strip('"')
    # With a key of KMS an ETag looks like an MD5 and is none.
    plain = PLAIN_ETAG.fullmatch(etag) and not str(answer.get("ServerSideEncryption", "")).startswith("aws:")
    if plain and etag != digest.hexdigest():
        raise GarbledAnswerError(f"{what} arrived as something else than was sent; do not trust this store.")
    return etag


class S3Upload:
    """Implements `core.backup.ports.Upload`; made by `S3BackupStore.upload`. What fits into one part is one PUT."""

    def __init__(
        self,
        requests: S3Requests,
        workers: Executor,
        bucket: str,
        key: str,
        options: Mapping[str, Any],
        find: Callable[[str, str], ObjectInfo | None],
    ) -> None:
        self._requests, self._workers, self._find = requests, workers, find
        self._target = {"Bucket": bucket, "Key": key}
        self._what = requests.of_object(bucket, key)
        self._options = options
        self._buffer = bytearray()
        self._upload_id = ""
        self._begun_twice = False
        self._parts: list[Future[str]] = []
        self._under_way: deque[Future[str]] = deque()
        self._size = 0
        self._completed = False

    def write(self, chunk: bytes) -> None:
        """See `Upload.write`."""
        rest = memoryview(chunk)
        self._size += len(chunk)
        while rest:
            room = part_bytes(len(self._parts) + 1) - len(self._buffer)
            # A part goes only when more follows: what fits into the first is one PUT.
            if room == 0:
                self._send_buffer()
                continue
            self._buffer += rest[:room]
            rest = rest[room:]

    def end(self) -> None:
        """See `Upload.end`. For a small object that would be three requests instead of one, so that it waits."""
        if self._upload_id or len(self._buffer) >= _WORTH_A_PART:
            self._send_buffer()

    def complete(self) -> ObjectInfo:
        """See `Upload.complete`."""
        gone = False
        if self._upload_id:
            self._send_buffer()
            etags = [part.result() for part in self._parts]
            gone = complete_upload(
                self._requests, self._what, self._target, self._upload_id, etags, size_bytes=self._size
            )
            self._abort_twins()
        else:
            body = bytes(self._buffer)
            self._requests.ask(
                self._what,
                lambda s3: put_checked(s3, self._what, body, "put_object", **self._target, **self._options),
                body_bytes=len(body),
            )
        self._buffer.clear()
        stored = self._find(self._target["Bucket"], self._target["Key"])
        if stored is None or stored.size_bytes != self._size or not self._of_these_parts(stored.etag):
            if gone:
                raise _ended(self._what)
            held = "nothing" if stored is None else f"{stored.size_bytes} bytes"
            raise GarbledAnswerError(
                f"{self._what} was written with {self._size} bytes and the store holds {held}; do not trust this store."
            )
        self._completed = True
        return stored

    def abort(self) -> None:
        """Leave nothing behind, unless it was completed."""
        self._buffer.clear()
        if self._completed or not self._upload_id:
            return
        _settle(self._parts)
        # What cannot be aborted now is found and aborted by the next back-up.
        with suppress(TdevError):
            abort_upload(self._requests, self._what, self._target, self._upload_id)
        self._abort_twins()

    def _abort_twins(self) -> None:
        """Abort what the lost answer to a first try to begin has left open: it costs money, and nobody knows its id."""
        if not self._begun_twice:
            return
        bucket, key = self._target["Bucket"], self._target["Key"]
        with suppress(TdevError):
            for upload in list(list_uploads(self._requests, bucket, key)):
                if upload.key == key and upload.upload_id != self._upload_id:
                    abort_upload(self._requests, self._what, self._target, upload.upload_id)

    def _of_these_parts(self, etag: str) -> bool:
        parts = _PARTS_IN_ETAG.fullmatch(etag)
        return parts is None or int(parts[1]) == len(self._parts)

    def _begin(self) -> None:
        tries = 0

        def work(s3: Any) -> Any:
            nonlocal tries
            tries += 1
            return s3.create_multipart_upload(**self._target, **self._options)

        self._upload_id = str(self._requests.ask(self._what, work)["UploadId"])
        self._begun_twice = tries > 1

    def _send_buffer(self) -> None:
        if not self._buffer:
            return
        if not self._upload_id:
            self._begin()
        part, self._buffer = bytes(self._buffer), bytearray()
        number, upload_id = len(self._parts) + 1, self._upload_id

        def send(s3: Any) -> str:
            request = {"PartNumber": number, "UploadId": upload_id, **self._target}
            try:
                return put_checked(s3, self._what, part, "upload_part", **request)
            except ClientError as error:
                if code_of(error) == "NoSuchUpload":
                    raise _ended(self._what) from None
                raise

        def work() -> str:
            return self._requests.ask(self._what, send, body_bytes=len(part))

        while len(self._under_way) >= max(2, _IN_FLIGHT_BYTES // len(part)):
            self._under_way.popleft().result()
        future = self._workers.submit(work)
        self._parts.append(future)
        self._under_way.append(future)


def complete_upload(
    requests: S3Requests,
    what: str,
    target: Mapping[str, str],
    upload_id: str,
    etags: Sequence[str],
    *,
    size_bytes: int = 0,
) -> bool:
    """Make a multipart upload visible. True when the store says that there is no such upload.

    `size_bytes` lengthens the time limit: a store may take minutes to join what is large. "No such upload" is also what
    it says when an earlier try succeeded and its answer was lost: look whether the object stands.
    """
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]

    def work(s3: Any) -> bool:
        try:
            s3.complete_multipart_upload(UploadId=upload_id, MultipartUpload={"Parts": parts}, **target)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise
            return True
        return False

    return requests.ask(what, work, body_bytes=size_bytes)


def abort_upload(requests: S3Requests, what: str, target: Mapping[str, str], upload_id: str) -> None:
    """Abort a multipart upload; one that is gone is no error."""

    def work(s3: Any) -> None:
        try:
            s3.abort_multipart_upload(UploadId=upload_id, **target)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise

    requests.ask(what, work)


def copy_in_parts(
    requests: S3Requests,
    workers: Executor,
    source_bucket: str,
    source: ObjectInfo,
    target: Mapping[str, str],
    options: Mapping[str, Any],
) -> bool:
    """Copy on the store's side by parts; False when the store says of a part that it did and did not."""
    what = requests.of_object(target["Bucket"], target["Key"])
    upload_id = requests.ask(what, lambda s3: s3.create_multipart_upload(**target, **options))["UploadId"]
    size = max(COPY_PART_BYTES, -(-source.size_bytes // _MOST_PARTS))
    ranges = [(start, min(start + size, source.size_bytes)) for start in range(0, source.size_bytes, size)]

    def part(number: int, start: int, end: int) -> str:
        answer = requests.ask(
            what,
            lambda s3: s3.upload_part_copy(
                CopySource={"Bucket": source_bucket, "Key": source.key},
                CopySourceIfMatch=source.etag,
                CopySourceRange=f"bytes={start}-{end - 1}",
                PartNumber=number,
                UploadId=upload_id,
                **target,
            ),
            body_bytes=end - start,
        )
        return str(answer.get("CopyPartResult", {}).get("ETag", ""))

    futures: list[Future[str]] = []
    completed = False
    try:
        futures += [workers.submit(part, number, start, end) for number, (start, end) in enumerate(ranges, 1)]
        etags = [future.result() for future in futures]
        if all(etags):
            complete_upload(requests, what, target, upload_id, etags, size_bytes=source.size_bytes)
            completed = True
    finally:
        if not completed:
            _settle(futures)
            with suppress(TdevError):
                abort_upload(requests, what, target, upload_id)
    return completed


def _ended(what: str) -> BusyError:
    return BusyError(f"{what} was being uploaded, and somebody else ended the upload; try again.")


def _settle(parts: Sequence[Future[str]]) -> None:
    """Let no part be sent after its upload is aborted: stores keep, and bill, such a part."""
    for part in parts:
        part.cancel()
    for part in parts:
        if not part.cancelled():
            part.exception()

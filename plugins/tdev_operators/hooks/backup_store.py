"""The object store as back-ups use it: `core.backup.ports.BackupStore` over botocore, obstore and our own listings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from botocore.exceptions import ClientError

from tdev_operators.core.backup.ports import LockRule, OpenUpload, Protection
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.errors import (
    BusyError,
    GarbledAnswerError,
    InputError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks.aws import code_of, endpoint_of, status_of
from tdev_operators.hooks.backup_uploads import MIB, S3Upload, abort_upload, copy_in_parts, put_checked
from tdev_operators.hooks.bucket_protection import protection_of
from tdev_operators.hooks.connections import AWS, ConnectionFacts, ConnectionSource
from tdev_operators.hooks.object_locks import extend_locks, lock_rule
from tdev_operators.hooks.object_store import S3Store
from tdev_operators.hooks.resumed_reads import read_resumed
from tdev_operators.hooks.s3_deletions import delete_checked
from tdev_operators.hooks.s3_listings import list_objects, list_uploads
from tdev_operators.hooks.s3_requests import PATIENCE_SECONDS, PLAIN_ETAG, S3Requests, info_of
from tdev_operators.hooks.small_reads import SmallReads

# One CopyObject takes no more.
COPY_LIMIT_BYTES = 5 * 1024 * MIB

_PART_THREADS = 8
# What a copy that is made anew, by parts or through this machine, has to take over from the original.
_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Metadata")
_CONDITION_REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})


class S3BackupStore:
    """Implements `BackupStore`. Opens nothing before the first call; close it, or use it as a context manager.

    `timeout_seconds` bounds the silence of one request, `patience_seconds` how long a store that throttles or is away
    is asked again. `parallel` is how many threads of the caller's ask at the same time.
    """

    def __init__(
        self,
        facts: ConnectionFacts,
        *,
        timeout_seconds: float = 30.0,
        patience_seconds: float = PATIENCE_SECONDS,
        server_side_encryption: str = "",
        kms_key_id: str = "",
        parallel: int = 32,
    ) -> None:
        self._requests = S3Requests(
            facts,
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
            connections=parallel + _PART_THREADS,
        )
        self._options: dict[str, Any] = {}
        if server_side_encryption:
            self._options["ServerSideEncryption"] = server_side_encryption
        if kms_key_id:
            self._options["SSEKMSKeyId"] = kms_key_id
        self._workers = ThreadPoolExecutor(_PART_THREADS, thread_name_prefix="tdev-parts")
        self._small = SmallReads(
            self._requests, virtual_hosts=not endpoint_of(facts, "s3"), other_way=self._read_with_facts
        )
        self._looked_at = S3Store(facts, timeout_seconds=timeout_seconds)

    @classmethod
    def of(cls, settings: BackupSettings, connections: ConnectionSource) -> Self:
        """Return the store of the sets as the settings of back-ups ask for it.

        Raises:
            SetupMissingError: the connection tdev_aws is missing.
        """
        return cls(
            connections.get(AWS),
            server_side_encryption=settings.server_side_encryption,
            kms_key_id=settings.kms_key_id,
        )

    def __repr__(self) -> str:
        return f"S3BackupStore({self._requests.facts!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; what is under way is given up."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    @property
    def requests(self) -> Mapping[str, int]:
        """See `BackupStore.requests`."""
        return self._requests.counts

    def list(self, bucket: str, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """See `BackupStore.list`."""
        return list_objects(self._requests, bucket, prefix, after)

    def find(self, bucket: str, key: str) -> ObjectInfo | None:
        """See `BackupStore.find`."""
        answer = self._head(bucket, key)
        return None if answer is None else info_of(key, answer)

    def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `BackupStore.read`. A connection that breaks is taken up again where it broke."""
        return read_resumed(self._requests, bucket, key, start=start, length=length)

    def read_whole(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """See `BackupStore.read_whole`."""
        content = bytearray()
        for chunk in self.read(bucket, key):
            content += chunk
            if len(content) > max_bytes:
                raise InputError(
                    f"{self._object(bucket, key)} has more than the {max_bytes} bytes that are read here; see what "
                    "was stored there."
                )
        return bytes(content)

    def read_many(self, bucket: str, wanted: Iterable[ObjectInfo]) -> Iterator[tuple[ObjectInfo, bytes | TdevError]]:
        """See `BackupStore.read_many`. When of many objects in a row none can be read, their error is raised."""
        return self._small.read(bucket, wanted)

    def put(self, bucket: str, key: str, body: bytes, *, only_if_absent: bool = False) -> ObjectInfo:
        """See `BackupStore.put`."""
        what = self._object(bucket, key)
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        if only_if_absent and self.find(bucket, key) is not None:  # for stores that ignore the condition
            raise _exists(what)
        tries = 0

        def work(s3: Any) -> str:
            nonlocal tries
            tries += 1
            request = {"Bucket": bucket, "Key": key, **self._options}
            try:
                return put_checked(s3, what, body, "put_object", **request, **condition)
            except ClientError as error:
                if condition and status_of(error) == HTTPStatus.NOT_IMPLEMENTED:
                    return put_checked(s3, what, body, "put_object", **request)
                if not condition or code_of(error) not in _CONDITION_REFUSED:
                    raise
                tries += int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
                # Of a try whose answer was lost, what stands there now is ours.
                if tries > 1 and self._holds(bucket, key, body):
                    return ""
                raise _exists(what) from None

        etag = self._requests.ask(what, work, body_bytes=len(body))
        stored = self.find(bucket, key)
        if stored is not None and only_if_absent and etag and stored.etag != etag:
            raise _exists(what)  # the store ignores the condition, and another was later than we
        if stored is None or stored.size_bytes != len(body):
            raise GarbledAnswerError(
                f"{what} was written with {len(body)} bytes and is not there with them; do not trust this store."
            )
        return stored

    @contextmanager
    def upload(self, bucket: str, key: str) -> Iterator[S3Upload]:
        """See `BackupStore.upload`."""
        with self._upload(bucket, key, self._options) as upload:
            yield upload

    def copy(self, source_bucket: str, source: ObjectInfo, bucket: str, key: str) -> ObjectInfo:
        """See `BackupStore.copy`."""
        what = self._object(source_bucket, source.key)
        target = {"Bucket": bucket, "Key": key}
        origin = {"Bucket": source_bucket, "Key": source.key}
        try:
            if source.size_bytes > COPY_LIMIT_BYTES:
                options = {**self._options, **self._headers(source_bucket, source)}
                copied = copy_in_parts(self._requests, self._workers, source_bucket, source, target, options)
            else:
                self._requests.ask(
                    what,
                    lambda s3: s3.copy_object(
                        CopySource=origin, CopySourceIfMatch=source.etag, **target, **self._options
                    ),
                    body_bytes=source.size_bytes,
                )
                copied = True
        except InputError:
            self._headers(source_bucket, source)  # raises when the source is not as it was
            copied = False  # the store cannot do that: there is one way left
        except (TargetTimeoutError, TargetUnreachableError):
            # An error in an answer of 200, an empty one, or one that comes too late: it may have copied all the same.
            copied = PLAIN_ETAG.fullmatch(source.etag) is not None
        if copied:
            answer = self._head(bucket, key)
            if answer is not None and self._is_copy(source_bucket, source, info_of(key, answer), answer):
                return info_of(key, answer)
        return self._carried_over(source_bucket, source, bucket, key)

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """See `BackupStore.delete`."""
        delete_checked(self, self._requests, self._workers, bucket, keys)

    def open_uploads(self, bucket: str, prefix: str) -> Iterator[OpenUpload]:
        """See `BackupStore.open_uploads`."""
        return list_uploads(self._requests, bucket, prefix)

    def abort(self, bucket: str, upload: OpenUpload) -> None:
        """See `BackupStore.abort`."""
        target = {"Bucket": bucket, "Key": upload.key}
        abort_upload(self._requests, self._object(bucket, upload.key), target, upload.upload_id)

    def protection(self, bucket: str, prefix: str) -> Protection:
        """See `BackupStore.protection`."""
        return protection_of(self._requests, bucket, prefix)

    def lock_rule(self, bucket: str) -> LockRule | None:
        """See `BackupStore.lock_rule`."""
        return lock_rule(self._requests, bucket)

    def extend_locks(self, bucket: str, keys: Iterable[str], mode: str, until: datetime) -> int:
        """See `BackupStore.extend_locks`."""
        return extend_locks(self._requests, self._workers, bucket, keys, mode, until)

    def server_time(self) -> datetime:
        """See `BackupStore.server_time`."""
        return self._looked_at.server_time()

    def _object(self, bucket: str, key: str) -> str:
        return self._requests.of_object(bucket, key)

    def _head(self, bucket: str, key: str) -> Any:
        def work(s3: Any) -> Any:
            try:
                return s3.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                # A HEAD has no body, so the store cannot say whether the object or the bucket is missing.
                if status_of(error) == HTTPStatus.NOT_FOUND:
                    return None
                # Nor that a token has run out, which is 400 as well; a GET can.
                if status_of(error) == HTTPStatus.BAD_REQUEST:
                    s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
                raise

        return self._requests.ask(self._object(bucket, key), work)

    def _read_with_facts(self, bucket: str, info: ObjectInfo) -> tuple[ObjectInfo, bytes]:
        def work(s3: Any) -> tuple[ObjectInfo, bytes]:
            answer = s3.get_object(Bucket=bucket, Key=info.key)
            return info_of(info.key, answer), answer["Body"].read()

        return self._requests.ask(self._object(bucket, info.key), work, body_bytes=info.size_bytes)

    def _holds(self, bucket: str, key: str, body: bytes) -> bool:
        stored = self.find(bucket, key)
        return (
            stored is not None
            and stored.size_bytes == len(body)
            and self.read_whole(bucket, key, max_bytes=len(body)) == body
        )

    @contextmanager
    def _upload(self, bucket: str, key: str, options: Mapping[str, Any]) -> Iterator[S3Upload]:
        upload = S3Upload(self._requests, self._workers, bucket, key, options, self.find)
        try:
            yield upload
        finally:
            upload.abort()

    def _headers(self, bucket: str, source: ObjectInfo) -> dict[str, Any]:
        """Return what the source says of itself; it must be as it was."""
        answer = self._head(bucket, source.key)
        if answer is None or info_of(source.key, answer).etag != source.etag:
            raise InputError(f"{self._object(bucket, source.key)} is gone or was overwritten; list the bucket again.")
        return {name: answer[name] for name in _HEADERS if answer.get(name)}

    def _is_copy(self, bucket: str, source: ObjectInfo, found: ObjectInfo, answer: Mapping[str, Any]) -> bool:
        if found.size_bytes != source.size_bytes:
            return False
        if found.etag == source.etag or not (PLAIN_ETAG.fullmatch(found.etag) and PLAIN_ETAG.fullmatch(source.etag)):
            return True
        # Two MD5s that differ, unless a key of KMS made one of them something else.
        return any(
            str((head or {}).get("ServerSideEncryption", "")).startswith("aws:")
            for head in (answer, self._head(bucket, source.key))
        )

    def _carried_over(self, source_bucket: str, source: ObjectInfo, bucket: str, key: str) -> ObjectInfo:
        """Copy through this machine: the store said that it copied, and did not, or cannot."""
        options = {**self._options, **self._headers(source_bucket, source)}
        with self._upload(bucket, key, options) as upload:
            for chunk in read_resumed(self._requests, source_bucket, source.key, etag=source.etag):
                upload.write(chunk)
            stored = upload.complete()
        if stored.size_bytes != source.size_bytes:
            raise GarbledAnswerError(
                f"{self._object(source_bucket, source.key)} could not be copied in any way; do not trust this store."
            )
        return stored


def _exists(what: str) -> BusyError:
    return BusyError(f"{what} exists already; somebody else wrote it.")
